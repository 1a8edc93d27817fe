# Arm MPS2 with Cortex-M33 (AN505, SSE-200), in the secure state: secure aliases throughout.
set(BOARD_CPU -mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16)
set(BOARD_CHIPS chips/mps2.cpp chips/cmsdk_uart.cpp chips/cortex_m.cpp)
set(ROM_ORIGIN 0x10000000)
set(ROM_SIZE 4M)
set(RAM_ORIGIN 0x38000000)
set(RAM_SIZE 4M)
set(STACK_SIZE 32K)
