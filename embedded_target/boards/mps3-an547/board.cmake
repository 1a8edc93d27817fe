# Arm MPS3 with Cortex-M55 (AN547, SSE-300), in the secure state. Helium for integers only: its float vectors
# flush subnormals, which would change results.
set(BOARD_CPU -mcpu=cortex-m55+nomve.fp -mfloat-abi=hard)
set(BOARD_CHIPS chips/mps2.cpp chips/cmsdk_uart.cpp chips/cortex_m.cpp)
set(ROM_ORIGIN 0x10000000)
set(ROM_SIZE 512K)
set(RAM_ORIGIN 0x31000000)
set(RAM_SIZE 4M)
set(STACK_SIZE 32K)
