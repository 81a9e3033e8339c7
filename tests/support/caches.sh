# A cache as BuildKit exports it: an index that names blobs, two layers and a configuration, and no manifest.

# cache_make DIRECTORY FORM: its blobs, by digest; its `index`, as OCI's index or as Docker's list; the `type` of that.
cache_make() {
    python3 - "$1" "$2" <<'PY'
import gzip, hashlib, json, os, sys

root, form = sys.argv[1:]
top, layer = {
    "index": ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"),
    "list": ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
}[form]
os.makedirs(f"{root}/blobs")


def blob(content, media_type):
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with open(f"{root}/blobs/{digest}", "wb") as file:
        file.write(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


layers = [blob(gzip.compress(os.urandom(200_000), 1, mtime=0), layer) for _ in range(2)]
config = {"layers": [{"blob": layer["digest"], "parent": parent} for layer, parent in zip(layers, (-1, 0))], "records": []}
children = [*layers, blob(json.dumps(config).encode(), "application/vnd.buildkit.cacheconfig.v0")]
with open(f"{root}/index", "w") as file:
    json.dump({"schemaVersion": 2, "mediaType": top, "manifests": children}, file)
with open(f"{root}/type", "w") as file:
    file.write(top)
PY
}

# copies_cache MODE COMMAND…: `COMMAND… FROM TO` copies it, in both forms, to another repository, the index byte for byte and with
# every blob.
copies_cache() {
    local mode=$1 form cache blob
    shift
    for form in index list; do
        say "$mode: copy of a cache, whose $form names blobs"
        cache=$WORK/cache-$mode-$form
        cache_make "$cache" "$form"
        for blob in "$cache"/blobs/*; do
            equal "the status of a blob" "$(api POST "/v2/t/cache/blobs/uploads/?digest=${blob##*/}" --data-binary "@$blob" \
                -H 'Content-Type: application/octet-stream')" 201
        done
        equal "the status of the cache's $form" "$(api PUT "/v2/t/cache/manifests/$form" --data-binary "@$cache/index" \
            -H "Content-Type: $(cat "$cache/type")")" 201
        "$@" "$REGISTRY/t/cache:$form" "$REGISTRY/t/cache-copy:$form" || fail "copy of a cache"
        ask GET "/v2/t/cache-copy/manifests/$form" | cmp - "$cache/index" || fail "the copy's $form is another"
        for blob in "$cache"/blobs/*; do
            ask GET "/v2/t/cache-copy/blobs/${blob##*/}" | cmp - "$blob" || fail "the copy lacks ${blob##*/}"
        done
    done
}
