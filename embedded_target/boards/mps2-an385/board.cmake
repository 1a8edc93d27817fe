# Arm MPS2 with Cortex-M3 (AN385): no FPU, floats in software.
set(BOARD_CPU -mcpu=cortex-m3 -mfloat-abi=soft)
set(BOARD_CHIPS chips/mps2.cpp chips/cmsdk_uart.cpp chips/cortex_m.cpp)
set(ROM_ORIGIN 0x00000000)
set(ROM_SIZE 4M)
set(RAM_ORIGIN 0x20000000)
set(RAM_SIZE 4M)
set(STACK_SIZE 32K)
