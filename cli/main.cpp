// keg: images, builds and containers by Docker's command line. The table of commands is the
// program; this file lists it, reads the options that stand before a command, and prints what went
// wrong.
#include <malloc.h>
#include <sys/stat.h>

#include <cstdio>
#include <exception>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/run_command.h"

extern const Command system_prune_command, system_start_command;

int failure_exit_code = 1;

namespace {

constexpr Option globals[] = {
    {"root", "DIR", "the store: images, containers and networks (KEG_ROOT; /var/lib/keg)"},
    {"runtime", "PATH", "the OCI runtime to use (KEG_RUNTIME; keg-runtime)"},
    {"policy", "FILE", "which images may come here, instead of the machine's policy.json"},
    {"debug,D", nullptr, "say more about what is done"},
};

// Docker has two names for most verbs: "keg images" and "keg image ls".
Command also_named(const char* name, Command command) {
    command.name = name;
    command.hidden = true;
    return command;
}
const Command container_commit_command = also_named("container commit", commit_command);
const Command container_create_command = also_named("container create", create_command);
const Command container_exec_command = also_named("container exec", exec_command);
const Command container_export_command = also_named("container export", export_command);
const Command container_inspect_command = also_named("container inspect", inspect_command);
const Command container_kill_command = also_named("container kill", kill_command);
const Command container_logs_command = also_named("container logs", logs_command);
const Command container_ls_command = also_named("container ls", ps_command);
const Command container_port_command = also_named("container port", port_command);
const Command container_rename_command = also_named("container rename", rename_command);
const Command container_rm_command = also_named("container rm", rm_command);
const Command container_run_command = also_named("container run", run_command);
const Command container_start_command = also_named("container start", start_command);
const Command container_stop_command = also_named("container stop", stop_command);
const Command container_wait_command = also_named("container wait", wait_command);
const Command container_attach_command = also_named("container attach", attach_command);
const Command container_cp_command = also_named("container cp", cp_command);
const Command container_diff_command = also_named("container diff", diff_command);
const Command container_pause_command = also_named("container pause", pause_command);
const Command container_restart_command = also_named("container restart", restart_command);
const Command container_stats_command = also_named("container stats", stats_command);
const Command container_top_command = also_named("container top", top_command);
const Command container_unpause_command = also_named("container unpause", unpause_command);
const Command container_update_command = also_named("container update", update_command);
const Command container_list_command = also_named("container list", ps_command);
const Command container_ps_command = also_named("container ps", ps_command);
const Command network_list_command = also_named("network list", network_ls_command);
const Command system_events_command = also_named("system events", events_command);
const Command system_info_command = also_named("system info", info_command);
const Command volume_list_command = also_named("volume list", volume_ls_command);
const Command image_build_command = also_named("image build", build_command);
const Command builder_build_command = also_named("builder build", build_command);
const Command image_history_command = also_named("image history", history_command);
const Command image_import_command = also_named("image import", import_command);
const Command image_load_command = also_named("image load", load_command);
const Command image_ls_command = also_named("image ls", images_command);
const Command image_pull_command = also_named("image pull", pull_command);
const Command image_push_command = also_named("image push", push_command);
const Command image_rm_command = also_named("image rm", rmi_command);
const Command image_save_command = also_named("image save", save_command);
const Command image_tag_command = also_named("image tag", tag_command);

const Command* const commands[] = {
    // Containers
    &attach_command,
    &build_command,
    &commit_command,
    &container_prune_command,
    &cp_command,
    &create_command,
    &diff_command,
    &events_command,
    &exec_command,
    &export_command,
    &info_command,
    &inspect_command,
    &kill_command,
    &logs_command,
    &pause_command,
    &port_command,
    &ps_command,
    &rename_command,
    &restart_command,
    &rm_command,
    &run_command,
    &start_command,
    &stats_command,
    &stop_command,
    &top_command,
    &unpause_command,
    &update_command,
    &version_command,
    &wait_command,
    &network_connect_command,
    &network_create_command,
    &network_disconnect_command,
    &network_inspect_command,
    &network_ls_command,
    &network_prune_command,
    &network_rm_command,
    &volume_create_command,
    &volume_inspect_command,
    &volume_ls_command,
    &volume_prune_command,
    &volume_rm_command,
    // Images
    &add_layer_command,
    &config_command,
    &convert_command,
    &copy_command,
    &history_command,
    &image_inspect_command,
    &image_prune_command,
    &images_command,
    &import_command,
    &insert_command,
    &load_command,
    &login_command,
    &logout_command,
    &manifest_annotate_command,
    &manifest_create_command,
    &manifest_inspect_command,
    &manifest_push_command,
    &manifest_rm_command,
    &pull_command,
    &push_command,
    &repack_command,
    &rmi_command,
    &save_command,
    &sign_command,
    &system_check_command,
    &builder_du_command,
    &builder_prune_command,
    &system_df_command,
    &system_prune_command,
    &system_start_command,
    &tag_command,
    &unpack_command,
    &validate_command,
    &verify_command,
    // Second names
    &container_commit_command,
    &container_create_command,
    &container_exec_command,
    &container_export_command,
    &container_inspect_command,
    &container_kill_command,
    &container_logs_command,
    &container_ls_command,
    &container_port_command,
    &container_rename_command,
    &container_rm_command,
    &container_run_command,
    &container_start_command,
    &container_stop_command,
    &container_wait_command,
    &container_attach_command,
    &container_cp_command,
    &container_diff_command,
    &container_pause_command,
    &container_restart_command,
    &container_stats_command,
    &container_top_command,
    &container_unpause_command,
    &container_update_command,
    &container_list_command,
    &container_ps_command,
    &network_list_command,
    &system_events_command,
    &system_info_command,
    &volume_list_command,
    &image_build_command,
    &builder_build_command,
    &image_history_command,
    &image_import_command,
    &image_load_command,
    &image_ls_command,
    &image_pull_command,
    &image_push_command,
    &image_rm_command,
    &image_save_command,
    &image_tag_command,
};

void print_version() { std::printf("keg version %s\n", KEG_VERSION); }

void prepare(const Arguments& given) {
    set_log({.level = given.flag("debug") ? LogLevel::debug : LogLevel::warning, .plain = true});
}

const Program program = {
    .name = "keg",
    .summary = "containers for one machine, without a daemon",
    .style = Style::docker,
    .globals = globals,
    .commands = commands,
    .print_version = print_version,
    .prepare = prepare,
};

}  // namespace

int run_command_line(const Arguments& given, std::vector<std::string> words) {
    words.insert(words.begin(), {"keg", "--root", store_root(given)});
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    return dispatch(program, int(words.size()), argv.data());
}

// Absolute, because monitors go elsewhere.
std::string store_root(const Arguments& given) {
    return std::filesystem::absolute(given.value("root").value_or(default_store_root()));
}
Store open_store(const Arguments& given) { return Store(store_root(given)); }
std::string runtime_program(const Arguments& given) {
    const std::string typed = given.get("runtime");
    return typed.find('/') == std::string::npos ? typed : std::filesystem::absolute(typed).string();
}

int main(int argc, char** argv) try {
    ::umask(0022);  // layers and the store have the modes that are asked for, whoever works on them
    // What was freed is used again: to get memory anew costs more than to read a file into it.
    ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
    ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
    const int code = dispatch(program, argc, argv);
    if (std::fflush(stdout) != 0) throw SysError("writing to standard output");
    return code;
} catch (const Error& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "keg: %s\n", visible(e.what(), "\n").c_str());
    return e.exit_code() ? e.exit_code() : failure_exit_code;
} catch (const std::filesystem::filesystem_error& e) {  // in our words, not the library's
    std::fflush(stdout);
    std::fprintf(stderr, "keg: %s: %s\n", e.path1().c_str(), errno_text(e.code().value()).c_str());
    return failure_exit_code;
} catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "keg: %s\n", visible(e.what(), "\n").c_str());
    return failure_exit_code;
}
