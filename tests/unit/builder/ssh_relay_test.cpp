// Proves that who connects to a relay speaks with the agent behind it.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"
#include "builder/steps/ssh_relay.h"
#include "tests/unit/catch.h"
#include "tests/unit/scratch.h"

namespace {

UniqueFd unix_socket() { return UniqueFd(check(::socket(AF_UNIX, SOCK_STREAM, 0), "socket")); }

sockaddr_un unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, path.size());
    return address;
}

}  // namespace

TEST_CASE("who connects to an agent's relay is answered by the agent, and several are") {
    const Scratch directory;
    const std::string agent = directory.path + "/agent", relay = directory.path + "/relay";
    const UniqueFd listener = unix_socket();
    const sockaddr_un at = unix_address(agent);
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listener.get(), 4) == 0);
    std::thread serving([&] {
        for (int i = 0; i < 2; ++i) {
            const UniqueFd client(::accept(listener.get(), nullptr, nullptr));
            char text[16] = {};
            const ssize_t n = ::read(client.get(), text, sizeof text);
            (void)!::write(client.get(), text, size_t(n > 0 ? n : 0));
        }
    });
    {
        const SshRelay serves(relay, agent, 0600, ::getuid(), ::getgid());
        struct stat info{};
        REQUIRE(::stat(relay.c_str(), &info) == 0);
        CHECK((info.st_mode & 07777) == 0600);
        for (const std::string said : {"one", "another"}) {
            const UniqueFd client = unix_socket();
            const sockaddr_un to = unix_address(relay);
            REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) ==
                    0);
            REQUIRE(::write(client.get(), said.data(), said.size()) == ssize_t(said.size()));
            std::string heard(said.size(), '\0');
            REQUIRE(::recv(client.get(), heard.data(), heard.size(), MSG_WAITALL) ==
                    ssize_t(said.size()));
            CHECK(heard == said);
        }
    }
    serving.join();
}
