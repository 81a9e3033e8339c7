import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Random;

/** Pushes and pulls images of one small layer, each by requests of every method, and fails at the first that goes wrong. */
public class Rounds {
    private static final String MANIFEST = "application/vnd.oci.image.manifest.v1+json";

    private final HttpClient client = HttpClient.newHttpClient();
    private final String registry;
    private final String authorization;

    private Rounds(String registry, String account) {
        this.registry = registry;
        this.authorization = "Basic " + Base64.getEncoder().encodeToString(account.getBytes(StandardCharsets.UTF_8));
    }

    /** Arguments: the registry's URL, name and password with a colon between, the number of rounds. */
    public static void main(String[] arguments) throws Exception {
        Rounds rounds = new Rounds(arguments[0], arguments[1]);
        Random random = new Random(1);
        int count = Integer.parseInt(arguments[2]);
        for (int round = 0; round < count; round++) {
            byte[] content = new byte[1000 + random.nextInt(200_000)];
            random.nextBytes(content);
            rounds.round("v" + round, content, round % 2 == 0);
        }
        System.out.println(count + " rounds");
    }

    private void round(String tag, byte[] content, boolean byPatch) throws Exception {
        String digest = digest(content);
        String begun = send("POST", "/v2/t/jdk/blobs/uploads/", new byte[0], 202).headers().firstValue("location").get();
        if (byPatch) {
            begun = send("PATCH", begun, content, 202).headers().firstValue("location").get();
        }
        send("PUT", begun + "?digest=" + digest, byPatch ? new byte[0] : content, 201);
        String descriptor = "{\"mediaType\":\"application/octet-stream\",\"digest\":\"" + digest + "\",\"size\":" + content.length + "}";
        String manifest = "{\"schemaVersion\":2,\"mediaType\":\"" + MANIFEST + "\",\"config\":" + descriptor + ",\"layers\":[]}";
        send("PUT", "/v2/t/jdk/manifests/" + tag, manifest.getBytes(StandardCharsets.UTF_8), 201);
        send("HEAD", "/v2/t/jdk/manifests/" + tag, null, 200);
        if (!Arrays.equals(send("GET", "/v2/t/jdk/blobs/" + digest, null, 200).body(), content)) {
            throw new IllegalStateException("what came back is not what went in");
        }
    }

    private HttpResponse<byte[]> send(String method, String path, byte[] body, int expected) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(registry + path));
        request.header("Authorization", authorization).header("Content-Type", MANIFEST);
        request.method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body));
        HttpResponse<byte[]> answer = client.send(request.build(), BodyHandlers.ofByteArray());
        if (answer.statusCode() != expected) {
            String said = new String(answer.body(), StandardCharsets.UTF_8);
            throw new IllegalStateException(method + " " + path + ": " + answer.statusCode() + " " + said);
        }
        return answer;
    }

    private static String digest(byte[] content) throws Exception {
        return "sha256:" + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(content));
    }
}
