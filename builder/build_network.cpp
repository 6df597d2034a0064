// Leaving the network takes seconds (container/network.h), and nobody shall wait for that, nor can
// a build that is killed do it. So a process of its own session waits for the build's end, however
// that comes, and then leaves for it. It keeps nothing else of the build's open: no lock, no lease.
// Others of the build (who clear its work directories) may hold its place a while longer.
#include "builder/build_network.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/defer.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sys.h"
#include "container/identity.h"
#include "container/netlink.h"

std::string BuildNetwork::path() {
    if (!endpoint_) make();
    return str("/proc/", ::getpid(), "/fd/", namespace_.get());
}

void BuildNetwork::make() {
    namespace_ = make_network_namespace();
    Endpoint endpoint(store_root_, "build-" + random_id(), {});
    const UniqueFd build = sys::pidfd_open(::getpid());
    sigset_t all, before;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, &before);
    const Defer unblocked([&] { ::sigprocmask(SIG_SETMASK, &before, nullptr); });
    Child keeper = clone_process(
        {},
        [&] {
            ::setsid();
            const UniqueFd nothing = sys::open("/dev/null", O_RDWR);
            for (const int fd : {0, 1, 2})
                ::dup2(nothing.get(), fd);  // whoever reads the build's output waits for its end
            std::vector<int> kept = endpoint.descriptors();
            kept.push_back(build.get());
            sys::close_from(3, std::move(kept));
            pollfd ended{build.get(), POLLIN, 0};
            while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
            }
            for (int tries = 0; tries < 10; ++tries) {
                endpoint.release(1);
                if (!sys::exists(volatile_directory(store_root_) + "/net/subnet")) break;
                ::sleep(1);
            }
        },
        [](const std::exception& e) { log_warning(e.what()); });
    keeper.release();
    endpoint.connect(namespace_.get(), ::getpid());
    endpoint_ = std::move(endpoint);
}
