// Lists that a registry gives in pages: where the next one is.
#pragma once

#include <string>

#include "image/registry/http.h"

// The URL of the page behind that one ("" behind the last): what the answer's Link names as "next"
// (RFC 8288), on the same machine.
std::string next_page(const HttpResponse& answer);
