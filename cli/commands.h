// Every verb of keg: one file in commands/ defines it, main.cpp lists it. What the verbs share
// about the global options is here too.
#pragma once

#include <string>
#include <vector>

#include "base/command_line.h"
#include "base/error.h"
#include "engine/container.h"
#include "image/store.h"

// Images
extern const Command add_layer_command, build_command, config_command, convert_command,
    builder_du_command, builder_prune_command, copy_command, history_command, image_inspect_command,
    image_prune_command, images_command, import_command, insert_command, load_command,
    login_command, logout_command, manifest_annotate_command, manifest_create_command,
    manifest_inspect_command, manifest_push_command, manifest_rm_command, pull_command,
    push_command, repack_command, rmi_command, save_command, sign_command, system_check_command,
    system_df_command, tag_command, unpack_command, validate_command, verify_command;
// Containers
extern const Command attach_command, commit_command, container_prune_command, cp_command,
    create_command, diff_command, events_command, exec_command, export_command, info_command,
    inspect_command, kill_command, logs_command, pause_command, port_command, ps_command,
    rename_command, restart_command, rm_command, run_command, start_command, stats_command,
    stop_command, top_command, unpause_command, update_command, version_command, wait_command;
// Networks
extern const Command network_connect_command, network_create_command, network_disconnect_command,
    network_inspect_command, network_ls_command, network_prune_command, network_rm_command;
// Volumes
extern const Command volume_create_command, volume_inspect_command, volume_ls_command,
    volume_prune_command, volume_rm_command;

// The store's directory: --root, else default_store_root().
std::string store_root(const Arguments& globals);
// Opens it, making it if it is not there.
Store open_store(const Arguments& globals);
// --runtime; "" leaves the choice to RuntimeClient.
std::string runtime_program(const Arguments& globals);

// Who uses an image: a container keeps its layers, and a running one the image itself.
struct ImageUser {
    std::string container_id, image_id;
    std::string image;  // as it was typed
    bool running = false;
};
struct ImageUsers {
    std::vector<ImageUser> users;
    bool complete = true;  // false: there are containers (warned of) that cannot be read
};
ImageUsers image_users(const std::string& root);
// The layers that containers need, for Store::gc.
ContainerLayers layers_in_use(const std::string& root);
// All that the two say of each container, and the container itself.
struct KnownContainer {
    Container container;
    State state;
    std::vector<Digest> layers;
};
struct KnownContainers {
    std::vector<KnownContainer> all;  // newest first
    bool complete = true;
    ContainerLayers layers() const;
};
KnownContainers known_containers(const std::string& root);
// Frees what nothing needs any more; what hinders it is warned of.
void collect_garbage(const Store& store) noexcept;

// What keg exits with for an error that names no code of its own. `run` and `create` set Docker's
// 125 before they do anything, so that a container's own codes can be told from keg's.
extern int failure_exit_code;
