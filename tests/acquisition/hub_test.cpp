#include "acquisition/hub.h"

#include <gtest/gtest.h>

#include <thread>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

Event block(uint64_t first) {
    auto b = std::make_shared<Block>();
    b->first = first;
    b->count = 1;
    return std::shared_ptr<const Block>(std::move(b));
}

uint64_t first_of(const Event& e) {
    return std::get<std::shared_ptr<const Block>>(e)->first;
}

TEST(Hub, gives_every_sink_every_event_in_order) {
    Hub hub;
    const auto a = hub.attach(1000);
    const auto b = hub.attach(1000);
    std::thread publisher([&] {
        for (uint64_t i = 0; i < 500; ++i)
            hub.publish(block(i));
        hub.close();
    });
    for (const auto& sink : {a, b}) {
        uint64_t next = 0;
        Event e;
        while (!sink->closed())
            if (sink->pop(&e, 10ms)) {
                EXPECT_EQ(first_of(e), next++);
            }
        EXPECT_EQ(next, 500u);
        EXPECT_EQ(sink->dropped(), 0u);
    }
    publisher.join();
}

TEST(Hub, a_frozen_sink_loses_counted_samples_but_holds_up_nobody) {
    Hub hub;
    const auto frozen = hub.attach(10);
    const auto live = hub.attach(1000);
    for (uint64_t i = 0; i < 100; ++i)
        hub.publish(block(i));
    hub.publish(SegmentEnded{});
    Event e;
    for (uint64_t i = 0; i < 100; ++i) {
        ASSERT_TRUE(live->pop(&e, 0ms));
        EXPECT_EQ(first_of(e), i);
    }
    EXPECT_EQ(frozen->dropped(), 90u);
    EXPECT_EQ(frozen->high_water(), 11u) << "what makes samples readable still has room";
    for (uint64_t i = 0; i < 10; ++i) {
        ASSERT_TRUE(frozen->pop(&e, 0ms));
        EXPECT_EQ(first_of(e), i) << "the earliest are kept, without a hole between them";
    }
    ASSERT_TRUE(frozen->pop(&e, 0ms));
    EXPECT_TRUE(std::holds_alternative<SegmentEnded>(e));
}

TEST(Hub, a_detached_sink_ends_when_it_is_empty) {
    Hub hub;
    const auto sink = hub.attach(10);
    hub.publish(block(1));
    hub.detach(sink);
    hub.publish(block(2));
    Event e;
    EXPECT_FALSE(sink->closed());
    EXPECT_TRUE(sink->pop(&e, 0ms));
    EXPECT_FALSE(sink->pop(&e, 0ms));
    EXPECT_TRUE(sink->closed());
}

}  // namespace
}  // namespace lockstep
