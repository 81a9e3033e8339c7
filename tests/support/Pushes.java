import com.google.cloud.tools.jib.api.Containerizer;
import com.google.cloud.tools.jib.api.Jib;
import com.google.cloud.tools.jib.api.JibContainerBuilder;
import com.google.cloud.tools.jib.api.RegistryImage;
import com.google.cloud.tools.jib.api.buildplan.ImageFormat;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/** Pushes an image with a layer for each of some files, made of nothing or on another image, and prints its digest. */
public class Pushes {
    /** Arguments: where to, Docker or OCI, the image that it is made on or scratch, a directory for jib's own, the files. */
    public static void main(String[] arguments) throws Exception {
        Path cache = Path.of(arguments[3]);
        JibContainerBuilder image = arguments[2].equals("scratch") ? Jib.fromScratch() : Jib.from(at(arguments[2]));
        for (String file : Arrays.asList(arguments).subList(4, arguments.length)) {
            image.addLayer(List.of(Path.of(file)), "/");
        }
        Containerizer to = Containerizer.to(at(arguments[0]))
            .setAllowInsecureRegistries(Boolean.getBoolean("sendCredentialsOverHttp"))
            .setBaseImageLayersCache(cache.resolve("base"))
            .setApplicationLayersCache(cache.resolve("own"));
        System.out.println(image.setFormat(ImageFormat.valueOf(arguments[1])).containerize(to).getDigest());
    }

    private static RegistryImage at(String reference) throws Exception {
        return RegistryImage.named(reference).addCredential("admin", System.getenv("PASSWORD"));
    }
}
