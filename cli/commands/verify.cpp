// The same judge as of a pull, with nothing brought: what it says here is what a pull would do.
#include <cstdio>
#include <optional>

#include "cli/commands.h"
#include "image/transport/places.h"
#include "image/trust/judge.h"

static constexpr Option verify_options[] = {
    {"key", "FILE", "the public key that must have signed it; without it the policy has the word"},
    {"platform", "OS/ARCH", "of an index not this machine's but that platform's image"},
    {"quiet,q", nullptr, "print nothing"},
};

static void print_signature(const std::string& typed, const Digest& document,
                            const Signature& signature) {
    const auto name = read_claim(signature).name;
    std::printf("%s: %s is signed%s\n", typed.c_str(), document.text().c_str(),
                name ? (" as " + visible(*name)).c_str() : ", by a bundle");
}

static int verify(const Arguments& globals, const Arguments& args) {
    const ImagePlace place = place_or_stored(args[0]);
    TrustPolicy policy = TrustPolicy::load(globals.get("policy"));
    if (const std::string key = args.get("key"); !key.empty()) policy.require_key(key);
    std::optional<Store> store;
    const auto the_store = [&]() -> const Store& {
        if (!store) store.emplace(open_store(globals));
        return *store;
    };
    const Lease lease =
        place.transport->kind == Transport::Kind::store ? the_store().use() : Lease();
    const auto source = context(args[0], [&] { return source_at(place, the_store); });

    size_t accepted = 0;
    const Noted note = [&](const Digest& document, const Signature& signature) {
        ++accepted;
        if (!args.flag("quiet")) print_signature(args[0], document, signature);
    };
    Origin origin = origin_of(place);
    origin.typed = args[0];
    const Accept accept = acceptance(policy, *source, origin, note);
    accept(context(args[0], [&] { return chain_of(*source, args.get("platform")); }));
    if (accepted == 0)
        throw Error("no policy asks for a signature of ", args[0],
                    ": say which key must have signed it by --key FILE");
    return 0;
}

constinit const Command verify_command = {
    .name = "verify",
    .synopsis = "IMAGE",
    .summary = "say whether an image is signed as a key or the policy asks for",
    .options = verify_options,
    .least = 1,
    .most = 1,
    .interspersed = true,
    .run = verify,
};
