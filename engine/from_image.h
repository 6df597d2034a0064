// What an image says about the containers that are made of it, and how far keg follows it.
#pragma once

#include "engine/settings.h"
#include "spec/image.h"

// Exposed ports (beside those that `settings` has), volumes and labels; what the user typed is laid
// over it.
void take_from_image(Settings& settings, const spec::ContainerConfig& image);
// An anonymous volume for each that the image names, unless the user mounted something there.
void add_image_volumes(Settings& settings, const spec::ContainerConfig& image);
// -P: a free port of the host's for each of those that is not published yet.
void publish_exposed(Settings& settings, const std::set<spec::Port>& exposed);
