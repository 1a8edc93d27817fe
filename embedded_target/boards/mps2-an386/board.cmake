# Arm MPS2 with Cortex-M4F (AN386): the virtual board. ZBT SSRAM1 holds the image, SSRAM2+3 the data.
set(BOARD_CPU -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16)
set(BOARD_CHIPS chips/mps2.cpp chips/cmsdk_uart.cpp chips/cortex_m.cpp)
set(ROM_ORIGIN 0x00000000)
set(ROM_SIZE 4M)
set(RAM_ORIGIN 0x20000000)
set(RAM_SIZE 4M)
set(STACK_SIZE 32K)
