// A started program has its own files and nobody else's: an open pipe of another thread once kept the window
// from coming up.
#include "devices/child_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace lockstep {
namespace {

TEST(ChildProcess, KeepsNoFileOfThisProgramOpen) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);  // without O_CLOEXEC, as other people's libraries make them
    ChildProcess child;
    const std::string path = "/proc/self/fd/" + std::to_string(pipe[1]);
    const auto answer = child.start(
        {"/bin/sh", "-c", "[ -e " + path + " ] && echo READY open || echo READY closed"}, "READY ", 10000);
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(*answer, "closed");
    ::close(pipe[0]);
    ::close(pipe[1]);
}

}  // namespace
}  // namespace lockstep
