// What registries say when they refuse: {"errors":[{"code":"MANIFEST_UNKNOWN","message":…}]}.
#pragma once

#include <string>

#include "image/registry/http.h"

struct Refusal {
    std::string code, message;
    long status = 0;
    std::string page;  // the type of an answer that is no registry's: "text/html"

    // As Docker shows it: "manifest unknown: manifest unknown".
    std::string text() const;
};

// Has something else answered than a registry: a proxy, or the page on which one logs in to a
// network? That may be with any status, 200 too.
bool is_page(const HttpResponse& response);

// The body may be anything, HTML too: then the status speaks.
Refusal refusal_of(const HttpResponse& response);
