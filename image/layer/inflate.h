// A layer's blob as the plain tar that is in it, hashed on the way to their last byte: what
// follows the end of the compressed stream is part of the blob, what follows the end of the tar is
// part of the diff ID.
#pragma once

#include <optional>
#include <string>

#include "image/digest.h"
#include "image/layer/decoder.h"
#include "image/layer/erofs_layer.h"
#include "image/layer/tar_stream.h"

class InflatedLayer {
public:
    // By which algorithms; "": this one is not asked for.
    struct Hashes {
        std::string tar = "sha256", blob = {};
    };
    // Borrows the descriptor, and reads from where it stands.
    InflatedLayer(int blob_fd, const Hashes& wanted);
    InflatedLayer(const InflatedLayer&) = delete;
    InflatedLayer& operator=(const InflatedLayer&) = delete;

    // The next bytes of the tar, which stay until the next call; nothing once all of the blob was
    // read.
    std::string_view read();

    // When all was read: is it an EROFS image, which a reader of tars takes for an empty one?
    bool is_erofs() const { return ::is_erofs(head_); }
    // When all was read; an empty one if it was not asked for.
    Digest diff_id() { return tar_ ? tar_->finish() : Digest(); }
    Digest blob_digest() { return blob_ ? blob_->finish() : Digest(); }

private:
    std::string_view read_blob();

    std::optional<Hasher> tar_, blob_;
    ByteSource source_;
    std::unique_ptr<Decoder> plain_;
    std::string head_;  // of the tar
};

// All bytes of a layer, whatever they are. They are inflated and hashed in another thread
// meanwhile.
void read_plain(InflatedLayer& layer, const std::function<void(std::string_view)>& take);

// All bytes of a tar, which also count for its digest behind the end of the archive: `take` has the
// entries, and `pass`, if there is one, each piece before that.
void read_tar(const ByteSource& bytes, const std::function<void(TarStream&)>& take,
              const std::function<void(std::string_view)>& pass = {});
// The same of a layer, which is inflated and hashed in another thread meanwhile: not of what may
// wait for somebody. Throws Error if it is an EROFS image.
void read_tar(InflatedLayer& layer, const std::function<void(TarStream&)>& take,
              const std::function<void(std::string_view)>& pass = {});
