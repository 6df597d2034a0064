// Volumes and networks as `inspect` shows them: Docker's documents.
#pragma once

#include "base/json.h"
#include "engine/network_table.h"
#include "engine/volume_table.h"

json::Value volume_document(const Volume& volume);
json::Value network_document(const Containers& containers, const UserNetwork& network);
