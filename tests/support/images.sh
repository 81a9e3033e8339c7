# Images to push that need no client: an OCI layout with an image for each of two platforms and an index over them.

# oci_layout DIRECTORY [BYTES]: layers of so many bytes; the index is tagged v1.
oci_layout() {
    python3 - "$1" "${2:-200000}" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile

root = sys.argv[1]
os.makedirs(f"{root}/blobs/sha256")


def blob(content, media_type, **more):
    digest = hashlib.sha256(content).hexdigest()
    with open(f"{root}/blobs/sha256/{digest}", "wb") as file:
        file.write(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content), **more}


def image(architecture):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        content = os.urandom(int(sys.argv[2]))
        member = tarfile.TarInfo(f"content-{architecture}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    diff = hashlib.sha256(archive.getvalue()).hexdigest()
    config = {"architecture": architecture, "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(gzip.compress(archive.getvalue(), 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    return blob(json.dumps(manifest).encode(), manifest["mediaType"],
                platform={"architecture": architecture, "os": "linux"})


index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
         "manifests": [image("amd64"), image("arm64")]}
top = blob(json.dumps(index).encode(), index["mediaType"], annotations={"org.opencontainers.image.ref.name": "v1"})
with open(f"{root}/index.json", "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [top]}, file)
with open(f"{root}/oci-layout", "w") as file:
    file.write('{"imageLayoutVersion":"1.0.0"}')
PY
}

# layout_digest DIRECTORY: of the index tagged v1.
layout_digest() {
    python3 -c 'import json,sys; print(json.load(open(sys.argv[1]+"/index.json"))["manifests"][0]["digest"])' "$1"
}
