// An image with its layers in another form: EROFS images, which others mount as they are.
#pragma once

#include "image/store.h"

enum class LayerForm { erofs, erofs_zstd };

// Each layer becomes an EROFS image of what it changes in those below it; one that is an image
// already stays what it is, but for the compression. The config has the DiffIDs of these. The
// layers are in the store; the image is for publish() (derive.h). The same image is the same
// layers. Throws Error for what an EROFS image cannot say, with the layer.
Image convert_layers(const Store& store, Image image, LayerForm form);
