// The agent's descriptor is made in the process that the filter is for, and a profile may say that
// from then on even to send it takes the agent's leave, who does not have it yet. So a messenger is
// made before: it has no filter, shares our descriptors and only needs their number. That it is
// told by write, about which no profile may ask (plan_filter). Sharing, it holds both ends of its
// pipe and would wait for ever if we ended, so it ends with us.
#include "runtime/seccomp/agent.h"

#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "base/sys.h"
#include "runtime/process/passage.h"
#include "runtime/process/terminal.h"

namespace {

void send_agent(Channel& channel, int agent) {
    const int fds[] = {agent};
    channel.send(Step::notify, {}, fds);
}

// A process that may not send without the agent's leave cannot send the agent its descriptor. So
// another does, which was there before the filter and shares our descriptors, once it is told their
// number: by write, which no profile may ask about.
void install_with_messenger(const Filter& filter, Channel& channel) {
    const sys::Pipe told = sys::pipe();
    Child messenger = clone_process(
        {.flags = CLONE_FILES},
        [&] {
            end_with_creator(
                channel);  // it holds the pipe's other end too, and would wait for ever
            int agent = -1;
            if (::read(told.read.get(), &agent, sizeof agent) != sizeof agent) return;
            send_agent(channel, agent);
            ::_exit(0);
        },
        [](const std::exception&) {});
    const UniqueFd agent = install(filter);
    const int number = agent.get();
    check(int(::write(told.write.get(), &number, sizeof number)),
          "telling the number of the agent's descriptor");
    // From here on the agent may be asked about us.
    if (messenger.wait().shell() != 0)
        throw Error("the seccomp agent's descriptor could not be sent");
}

}  // namespace

void install_filter(const Filter& filter, Channel& channel) {
    if (filter.asks_to_send) return install_with_messenger(filter, channel);
    if (const UniqueFd agent = install(filter)) send_agent(channel, agent.get());
}

void give_to_agent(Channel& channel, const Filter& filter, int pid, const spec::State& container) {
    if (!filter.notify) return;
    const Message message = channel.expect(Step::notify);
    if (message.fds.size() != 1) throw Error("the seccomp descriptor did not arrive");
    const spec::ContainerProcessState told{
        .fds = {"seccompFd"}, .pid = pid, .metadata = filter.listener_metadata, .state = container};
    context(
        "linux.seccomp.listenerPath: failed to connect with seccomp agent specified in the "
        "seccomp profile",
        [&] { send_descriptor(filter.listener_path, spec::write(told), message.fds[0].get()); });
}
