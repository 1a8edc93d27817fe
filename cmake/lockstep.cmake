# Settings and helpers that every folder's CMakeLists.txt uses.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# Same bits on every target: no contraction, no fast-math (docs/parity.md).
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror -ffp-contract=off)
# Asserts stay on: Release here means optimised, without debug information.
set(CMAKE_CXX_FLAGS_RELEASE -O2)
set(CMAKE_C_FLAGS_RELEASE -O2)
# GoogleTest's typed suites leave their last macro argument out.
add_compile_options($<$<CXX_COMPILER_ID:Clang>:-Wno-gnu-zero-variadic-macro-arguments>)
include_directories(${CMAKE_SOURCE_DIR})

set(LOCKSTEP_SANITIZE "" CACHE STRING "address,undefined or thread")
if(LOCKSTEP_SANITIZE)
  add_compile_options(-fsanitize=${LOCKSTEP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${LOCKSTEP_SANITIZE})
endif()

option(LOCKSTEP_FUZZ "libFuzzer builds (clang)" OFF)
if(LOCKSTEP_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# lockstep_library(NAME [FREESTANDING] [LINK libs...]): every .cpp of the calling folder (not of its
# subfolders, which are named with FOLDERS) becomes one static library. FREESTANDING is for the
# shared core: no exceptions, RTTI or thread-safe statics, as the firmware compiles it.
function(lockstep_library name)
  cmake_parse_arguments(A "FREESTANDING" "" "LINK;FOLDERS" ${ARGN})
  set(globs ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(folder ${A_FOLDERS})
    list(APPEND globs ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cpp)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${globs})
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${A_LINK})
  if(A_FREESTANDING)
    target_compile_options(${name} PRIVATE -fno-exceptions -fno-rtti -fno-threadsafe-statics)
  endif()
endfunction()

# lockstep_test(NAME SOURCES files... LINK libs... [LABELS l...]): a GoogleTest program run by ctest.
# LABELS data marks a test that reads the shared recordings (LOCKSTEP_DATA); in CI it must not skip. LABELS hostile
# marks a test of damaged and hostile input, which CI runs with sanitizers, too; the target `hostile` builds them.
add_custom_target(hostile)
function(lockstep_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINK;LABELS;ENV" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LINK} GTest::gmock GTest::gtest GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(hostile IN_LIST A_LABELS)
    add_dependencies(hostile ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}"
    ENVIRONMENT "LOCKSTEP_SOURCE=${CMAKE_SOURCE_DIR};LOCKSTEP_BUILD=${CMAKE_BINARY_DIR};LOCKSTEP_DATA=${CMAKE_SOURCE_DIR}/../shared/data;QT_QPA_PLATFORM=offscreen;${A_ENV}")
endfunction()

# lockstep_python_test(NAME SCRIPT file [LABELS l...]): a Python test script run by Debian's python3.
function(lockstep_python_test name)
  cmake_parse_arguments(A "" "SCRIPT;TIMEOUT" "LABELS;ENV" ${ARGN})
  add_test(NAME ${name} COMMAND /usr/bin/python3 ${A_SCRIPT})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 180)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}"
    ENVIRONMENT "LOCKSTEP_SOURCE=${CMAKE_SOURCE_DIR};LOCKSTEP_BUILD=${CMAKE_BINARY_DIR};LOCKSTEP_DATA=${CMAKE_SOURCE_DIR}/../shared/data;PYTHONDONTWRITEBYTECODE=1;${A_ENV}")
endfunction()
