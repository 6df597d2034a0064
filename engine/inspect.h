// A container as `docker inspect` shows it.
#pragma once

#include "base/json.h"
#include "engine/container.h"

json::Value inspect_container(const Container& container);
