// The options that checkpoint and restore have in common.
#pragma once

#include "base/command_line.h"
#include "runtime/checkpoint/checkpoint.h"

namespace criu_option {
constexpr Option image_path{"image-path", "DIR", "path of criu's image files", "./checkpoint"};
constexpr Option work_path{"work-path", "DIR",
                           "path for criu's work files and logs, if not that of the images"};
constexpr Option tcp_established{"tcp-established", nullptr, "allow open tcp connections"};
constexpr Option ext_unix_sk{"ext-unix-sk", nullptr, "allow external unix sockets"};
constexpr Option shell_job{"shell-job", nullptr, "allow shell jobs"};
constexpr Option lazy_pages{"lazy-pages", nullptr,
                            "use userfaultfd to lazily restore memory pages"};
constexpr Option file_locks{"file-locks", nullptr, "handle file locks, for safety"};
constexpr Option manage_cgroups_mode{"manage-cgroups-mode", "MODE",
                                     "cgroups mode: soft, full, strict or ignore", "soft"};
constexpr Option empty_ns{"empty-ns", "NAMESPACE",
                          "create a namespace (network), but don't save or restore its properties"};
constexpr Option auto_dedup{"auto-dedup", nullptr, "enable auto deduplication of memory images"};
}  // namespace criu_option

CriuOptions read_criu_options(const Arguments& args);
