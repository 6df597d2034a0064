// What is hard: what is signed must be what the user means. A registry's tag is looked up at the
// registry itself, never at a mirror, which could give another image to be signed; and what was
// signed is printed by its digest.
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "cli/commands.h"
#include "image/registry/hosts.h"
#include "image/transport/layout.h"
#include "image/transport/places.h"
#include "image/transport/remote.h"
#include "image/trust/evidence.h"
#include "image/trust/kept.h"
#include "image/trust/sign.h"

static constexpr Option sign_options[] = {
    {"key", "FILE", "the private key, in PEM: openssl's, or cosign's"},
    {"passphrase-file", "FILE", "the key's passphrase (COSIGN_PASSWORD)"},
    {"bundle", nullptr, "as a Sigstore bundle that refers to the image, and says no name"},
    {"identity", "NAME", "the name that is signed, instead of the one that the image has there"},
};

namespace {

std::string passphrase_of(const Arguments& args) {
    if (const std::string file = args.get("passphrase-file"); !file.empty()) {
        std::string text = read_file(file, size_t(64) << 10);
        while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
        return text;
    }
    if (const char* const phrase = ::getenv("COSIGN_PASSWORD")) return phrase;
    throw Error("it is encrypted: give its passphrase by --passphrase-file or COSIGN_PASSWORD");
}

struct Signer {
    PrivateKey key;
    std::string identity;  // "": the image's own name
    bool as_bundle;

    // `own` is the image's name; "": it has none.
    Signature sign(const spec::Descriptor& image, const std::string& own) const {
        if (as_bundle) return make_bundle(key, Digest(image.digest));
        const std::string& name = identity.empty() ? own : identity;
        if (name.empty())
            throw Error("the image has no name that could be signed: give one by --identity");
        return make_signature(key, Digest(image.digest), name);
    }

    void sign_at(ImageSource& source, const std::string& own, const SinkFor& sink_for) const {
        const spec::Descriptor image = source.top();
        const Digest digest(image.digest);
        if (as_bundle) return add_referrer(source, sink_for, image, sign(image, own));
        add_signature(source, *sink_for(signature_tag(digest), digest), digest, sign(image, own));
    }
};

spec::Descriptor sign_in_registry(const ImagePlace& place, const Signer& signer) {
    const Reference name = parse_reference(place.name);
    RegistrySource source(name, {Hosts::load().to_push(name)});  // no mirror is asked
    signer.sign_at(source, name.canonical(), [&](const std::string& tag, const Digest& digest) {
        Reference target = name;
        target.tag = tag, target.digest = tag.empty() ? digest.text() : "";
        return std::make_unique<RegistrySink>(target);
    });
    return source.top();
}

spec::Descriptor sign_in_layout(const ImagePlace& place, const Signer& signer) {
    LayoutSource source(std::make_unique<DirectoryFiles>(place.path), place.name, place.path);
    const bool is_whole_name = place.name.find('/') != std::string::npos;
    const auto own = is_whole_name ? reference_of(place.name) : std::nullopt;
    signer.sign_at(source, own ? own->canonical() : "",
                   [&](const std::string& tag, const Digest& /*own*/) {
                       return std::make_unique<LayoutSink>(place.path, tag);
                   });
    return source.top();
}

spec::Descriptor sign_in_store(const Store& store, const ImagePlace& place, const Signer& signer) {
    const Lease lease = store.use();
    const NamedImage image = store.get(place.name);
    keep_signature(store, Digest(image.descriptor.digest),
                   signer.sign(image.descriptor, image.name ? image.name->canonical() : ""));
    return image.descriptor;
}

spec::Descriptor sign_at(const ImagePlace& place, const Signer& signer, const Arguments& globals) {
    switch (place.transport->kind) {
        case Transport::Kind::registry: return sign_in_registry(place, signer);
        case Transport::Kind::layout: return sign_in_layout(place, signer);
        case Transport::Kind::store: return sign_in_store(open_store(globals), place, signer);
        default: break;
    }
    throw Error(place.typed, " takes no signature: sign at docker://IMAGE, oci:DIRECTORY[:NAME], "
                             "or in the store");
}

}  // namespace

// With a tag only if one was typed.
static std::string long_name(const std::string& typed) {
    if (typed.empty()) return "";
    const Reference name = parse_reference(typed);
    return has_tag_or_digest(typed) ? name.canonical() : name.repository();
}

static int sign(const Arguments& globals, const Arguments& args) {
    const ImagePlace place = place_or_stored(args[0]);
    const std::string file = args.get("key");
    if (file.empty()) throw Error("which key is to sign? Give it by --key FILE");
    const Signer signer{.key = PrivateKey::read(file, [&] { return passphrase_of(args); }),
                        .identity = long_name(args.get("identity")),
                        .as_bundle = args.flag("bundle")};
    if (signer.as_bundle && !signer.identity.empty())
        throw Error("--bundle and --identity exclude each other: a bundle says no name");
    const spec::Descriptor image =
        context("signing " + args[0], [&] { return sign_at(place, signer, globals); });
    std::printf("%s\n", image.digest.c_str());
    return 0;
}

constinit const Command sign_command = {
    .name = "sign",
    .synopsis = "IMAGE",
    .summary = "sign an image, in a registry, a layout or the store, as cosign does",
    .options = sign_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = sign,
};
