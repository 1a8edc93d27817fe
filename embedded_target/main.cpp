// The main loop. All memory is static; its sizes are what the board's linker script must hold.
#include "embedded_target/board.h"
#include "embedded_target/device.h"

namespace {

__attribute__((section(".noinit"), aligned(16))) uint8_t sample_memory[1 << 20];
__attribute__((section(".noinit"), aligned(16))) uint8_t model_memory[1 << 20];
__attribute__((section(".noinit"), aligned(16))) uint8_t plan_memory[3 * (448 << 10)];
lockstep::firmware::Device device;

}  // namespace

extern "C" void firmware_main() {
    namespace board = lockstep::board;
    board::init();
    device.init(lockstep::MutableBytes(sample_memory), lockstep::MutableBytes(model_memory),
                lockstep::MutableBytes(plan_memory));
    for (;;) {
        board::feed_watchdog();
        if (!device.run_once()) board::idle();
    }
}
