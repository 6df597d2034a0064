#include "image/registry/login.h"

#include "image/registry/refusal.h"
#include "image/registry/session.h"
#include "image/registry/url.h"

std::string registry_of(std::string_view typed) {
    for (const std::string_view scheme : {"https://", "http://"})
        if (typed.starts_with(scheme)) typed.remove_prefix(scheme.size());
    const std::string host(typed.substr(0, typed.find('/')));
    const bool is_hub = host.empty() || server_name(host) == server_name("docker.io");
    return is_hub ? "docker.io" : host;
}

void check_login(const std::string& registry, const Credentials& who) {
    const Place place = Hosts::load().to_push({.domain = registry});
    Session session(place, "", [&] { return who; });
    const HttpResponse answer = session.greet();
    if (answer.is_success()) return;
    const Refusal why = refusal_of(answer);
    throw Error("login attempt to ", without_query(answer.url),
                " failed with status: ", answer.status,
                why.page.empty() ? " (" + why.text() + ")"
                                 : ", no registry's answer but a page of type " + why.page);
}
