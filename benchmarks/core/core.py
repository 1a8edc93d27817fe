"""The inference core's figures (./dev bench core): instructions per inference on a Cortex-M4F and a Cortex-M55,
bytes of code and of memory, and latency on the desktop. Each model of $LOCKSTEP_DATA/models becomes a plan in source form, runs bare in QEMU
on its golden vectors - a wrong byte fails the benchmark - and embedded_target/measure/marks.c counts.

  instructions  of one inference, from the call to the return; the same for every vector or the most of them
  text_bytes    code and constant tables of kernels and runtime, linked with --gc-sections from the plan's run():
                what is left without the plan's own weights and tensors, start-up and benchmark
  ram_bytes     arena (tensors, input and output counted, and scratch) + static state + deepest stack of run()

  latency_us    on this machine: median of one inference by the engine, one thread, float32 in and out, against ONNX
                Runtime's of the same model in float32 (host.cpp, float_model.py). Its library is that of the npm
                package onnxruntime-node, installed below build/ when the benchmark first runs, or the file named by
                $LOCKSTEP_ONNXRUNTIME; without it the host's figures are skipped. avx2.latency_us: as on
                a processor that has AVX2 alone, for ONNX Runtime, too (avx2_only.h); avx2_alone.latency_us: ours alone,
                beside an ONNX Runtime that uses all that the processor has; device_plan.latency_us: the plan laid out
                for a Cortex-M4

References are the peers' measured figures (CMSIS-NN called directly, GCC 12, the same QEMU machines and counter);
its memory is its static buffers and its stack."""
import glob
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.join(ROOT, "build")
OUT = os.path.join(BUILD, "bench_core")
DATA = os.environ.get("LOCKSTEP_DATA", os.path.join(ROOT, "..", "shared", "data"))
MODELS = {"ad": "ad01_int8", "kws": "kws_ref_model", "imu": "imu", "eeg": "eeg"}
# The spatial filter before the temporal one, a rewrite of float models: the same layers, quantised here by the
# golden inputs, which then have golden outputs of their own, the host's.
SPATIAL_FIRST = "eeg_spatial_first"
BOARDS = {"m4f": ("mps2-an386", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "cortex-m4"),
          "m55": ("mps3-an547", "-mcpu=cortex-m55+nomve.fp -mfloat-abi=hard", "cortex-m55")}
FLAGS = ("-O2 -g -mthumb -ffunction-sections -fdata-sections -ffp-contract=off -fno-tree-vectorize -std=c++17 "
         "-fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-use-cxa-atexit").split()
CMSIS_NN = {
    "m4f": {"ad": 579836, "kws": 7696008, "imu": 1826486, "eeg": 9424022},
    "m55": {"ad": 146854, "kws": 1783418, "imu": 299348, "eeg": 3789109},  # GCC -O3
    "text": {"ad": 4644, "kws": 22264, "imu": 17116, "eeg": 21784},
    "ram": {"ad": 764 + 276, "kws": 16252 + 652, "imu": 6780 + 652, "eeg": 20508 + 652},
}
# Everything but code and constants that the plan's run() reaches goes elsewhere and is not counted.
TEXT_SCRIPT = """SECTIONS {
  .plan : { *(.rodata.lockstep_plan) }
  .code : { *(.text .text.*) *(.rodata .rodata.*) }
  .state : { *(.data .data.* .bss .bss.* COMMON) }
  /DISCARD/ : { *(.ARM.exidx* .ARM.extab* .comment .init_array* .note*) }
}
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout if command[0] != "qemu-system-arm" else done.stderr  # semihosting writes there


def newer(target, *sources):
    return os.path.exists(target) and all(os.path.getmtime(s) <= os.path.getmtime(target) for s in sources)


def counter():
    plugin = os.path.join(OUT, "libmarks.so")
    source = os.path.join(ROOT, "embedded_target/measure/marks.c")
    if not newer(plugin, source):
        run("gcc", "-O2", "-shared", "-fPIC", source, "-o", plugin)
    return plugin


def core_objects(board):
    """The shared core, compiled as the firmware compiles it."""
    folder = os.path.join(OUT, board)
    os.makedirs(folder, exist_ok=True)
    jobs = []
    for part in ("dsp/base", "models/core/ops", "models/core/kernels"):
        for name in sorted(os.listdir(os.path.join(ROOT, part))):
            if name.endswith(".cpp"):
                jobs.append((os.path.join(ROOT, part, name), os.path.join(folder, f"{part.replace('/', '_')}_{name}.o")))
    jobs.append((os.path.join(ROOT, "embedded_target/chips/cortex_m.cpp"), os.path.join(folder, "start.o")))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda j: compile_to(board, j[0], j[1]), jobs))
    return [o for _, o in jobs]


def compile_to(board, source, target, *extra):
    cache = ["ccache"] if subprocess.run(["which", "ccache"], capture_output=True).returncode == 0 else []
    run(*cache, "arm-none-eabi-g++", *FLAGS, *BOARDS[board][1].split(), "-I", ROOT, *extra, "-c", source, "-o", target)


def linker_script(board):
    values = dict(re.findall(r"set\((\w+) ([\w-]+)\)",
                             open(os.path.join(ROOT, "embedded_target/boards", BOARDS[board][0], "board.cmake")).read()))
    script = open(os.path.join(ROOT, "embedded_target/cortex_m.ld.in")).read().replace("@name@", BOARDS[board][0])
    path = os.path.join(OUT, board, "board.ld")
    with open(path, "w") as f:
        f.write(re.sub(r"@(\w+)@", lambda m: values[m.group(1)], script))
    return path


def link(board, elf, objects, *options):
    run("arm-none-eabi-g++", *BOARDS[board][1].split(), "-mthumb", "-nostartfiles", "--specs=nano.specs",
        "-Wl,--gc-sections", *options, *objects, "-o", elf)


def symbols(elf):
    return {name: int(value, 16) for value, _, name in
            (line.split() for line in run("arm-none-eabi-nm", elf).splitlines() if len(line.split()) == 3)}


def sections(elf):
    return {f[0]: int(f[1]) for f in (line.split() for line in run("arm-none-eabi-size", "-A", elf).splitlines())
            if len(f) == 3 and f[1].isdigit()}


def spatial_first(folder):
    """The float model's file and those of its windows: for the calibration and in the network's order."""
    golden = os.path.join(DATA, "models", MODELS["eeg"])
    stem = os.path.join(folder, SPATIAL_FIRST)
    run("/usr/bin/python3", os.path.join(ROOT, "benchmarks/core/float_model.py"), golden + ".tflite", stem + ".onnx",
        golden + ".input.i8", stem)
    return stem + ".onnx", stem + ".npy", stem + ".f32"


def measure(board, key, core, plugin):
    machine, cpu, target = BOARDS[board]
    folder = os.path.join(OUT, board)
    if key == SPATIAL_FIRST:
        stem, golden = key, os.path.join(folder, key)
        source, *windows = spatial_first(folder)
    else:
        stem, golden, windows = MODELS[key], os.path.join(DATA, "models", MODELS[key]), []
        source = golden + ".tflite"
    arena = int(run(os.path.join(BUILD, "benchmarks/plan_to_source"), source, stem, folder, target, *windows))
    model, harness = (os.path.join(folder, f"{key}_{n}.o") for n in ("model", "harness"))
    compile_to(board, os.path.join(folder, stem + ".cpp"), model)
    vectors = [f'-D{n}="{golden}.{e}.i8"' for n, e in (("GOLDEN_INPUT", "input"), ("GOLDEN_OUTPUT", "output"))]
    compile_to(board, os.path.join(ROOT, "benchmarks/core/board.cpp"), harness, f"-DPLAN={stem}",
               f'-DPLAN_HEADER="{stem}.h"', "-I", folder, *vectors)
    elf = os.path.join(folder, key + ".elf")
    link(board, elf, [harness, model, *core], "-Wl,--build-id=sha1", "-Wl,-T," + linker_script(board))
    sym = symbols(elf)
    counts = os.path.join(folder, key + ".counts")
    said = run("qemu-system-arm", "-M", machine, "-nographic", "-semihosting", "-kernel", elf, "-plugin",
               f"{plugin},out={counts}", timeout=300)
    result = re.search(r"vectors (\d+) wrong (\d+) stack (\d+)", said)
    if result is None or int(result[2]) != 0:
        sys.exit(f"{board} {key}: the outputs are not the golden ones: {said!r}")
    # Before and between the marks: start-up, the loop, and of every vector what comes before it and the run.
    with open(counts) as f:
        _, loop, *counted = (int(line) for line in f)
    if loop != 2002:  # movw, nop, 1000 times subs and bne: exact, or the figures are not taken
        sys.exit(f"the counter counts {loop} instructions in a loop of 2002")
    script = os.path.join(folder, "text.ld")
    with open(script, "w") as f:
        f.write(TEXT_SCRIPT)
    bare = os.path.join(folder, key + "_bare.elf")
    run_symbol = next(n for n in sym if re.fullmatch(rf"_ZN8lockstep\d+{stem}3runEv", n))
    link(board, bare, [model, *(o for o in core if not o.endswith("start.o"))], "-Wl,-T," + script,
         f"-Wl,-e,{run_symbol}", "-Wl,-u," + run_symbol)
    size = sections(bare)
    return {"instructions": max(counted[1::2]), "text": size[".code"], "ram": size[".state"] + int(result[3]),
            "arena": arena, "stack": int(result[3]), "vectors": int(result[1])}


def onnxruntime():
    """Path of ONNX Runtime's library; None, with the reason on standard error, where it cannot be had."""
    if "LOCKSTEP_ONNXRUNTIME" in os.environ:
        return os.environ["LOCKSTEP_ONNXRUNTIME"]
    folder = os.path.join(OUT, "npm")
    pattern = os.path.join(folder, "node_modules/onnxruntime-node/bin/napi-v*/linux",
                           {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, "none"), "libonnxruntime.so*")
    if not glob.glob(pattern):
        os.makedirs(folder, exist_ok=True)
        try:
            subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder,
                            "onnxruntime-node"], capture_output=True, text=True, timeout=300, check=True)
        except (OSError, subprocess.SubprocessError) as e:
            print(f"core.host: skipped, npm could not install onnxruntime-node ({e}); LOCKSTEP_ONNXRUNTIME may name "
                  "libonnxruntime.so", file=sys.stderr)
            return None
    return next(iter(glob.glob(pattern)), None)


def measure_host(figure, models):
    library = onnxruntime()
    if library is None:
        return
    folder = os.path.join(OUT, "host")
    os.makedirs(folder, exist_ok=True)
    flags = open("/proc/cpuinfo").read().split()
    for key, stem in MODELS.items():
        if key not in models:
            continue
        golden = os.path.join(DATA, "models", stem)
        model = os.path.join(folder, stem + ".onnx")
        shape = run("/usr/bin/python3", os.path.join(ROOT, "benchmarks/core/float_model.py"), golden + ".tflite", model)
        for name, target, kernels in (("", "any", "best"), ("device_plan.", "cortex-m4", "best"),
                                      ("avx2.", "any", "avx2-both"), ("avx2_alone.", "any", "avx2")):
            if kernels == "avx2-both" and "cpuid_fault" not in flags:
                print("core.host: avx2 skipped, this processor cannot hide instructions", file=sys.stderr)
                continue
            if kernels == "avx2" and "avx2" not in flags:
                continue
            run(os.path.join(BUILD, "benchmarks/plan_to_source"), golden + ".tflite", stem, folder, target)
            chosen, ours, theirs, difference, reach = run(
                os.path.join(BUILD, "benchmarks/host_latency"), os.path.join(folder, stem + ".lsplan"), model, library,
                golden, kernels, *shape.split()).split()
            # The float model is the same one, or the reference means nothing.
            if float(difference) > 0.2 * float(reach):
                sys.exit(f"host {key}: the float model's output is {difference} away")
            print(f"host {key} {name}{chosen}: {ours} us, ONNX Runtime {theirs} us", file=sys.stderr)
            figure(f"core.host.{key}.{name}latency_us", float(ours), "us", float(theirs),
                   f"ONNX Runtime float32{' with AVX2 alone' if kernels == 'avx2-both' else ''}, {chosen}")


def main():
    os.makedirs(OUT, exist_ok=True)
    names = set(sys.argv[1:])  # of boards, "host", and of models; none of a kind are all
    places = names & {"host", *BOARDS} or {"host", *BOARDS}
    models = names & set(MODELS) or set(MODELS)
    figures = {}

    def figure(key, value, unit, reference, name):
        figures[key] = {"value": value, "unit": unit, "reference": name, "reference_value": reference,
                        "ratio": value / reference}

    if "host" in places:
        measure_host(figure, models)
    for board in BOARDS:
        if board not in places:
            continue
        plugin, core = counter(), core_objects(board)
        for key in [k for k in [*MODELS, SPATIAL_FIRST] if k.split("_")[0] in models]:
            m = measure(board, key, core, plugin)
            print(f"{board} {key}: {m}", file=sys.stderr)
            figure(f"core.{board}.{key}.instructions", m["instructions"], "instructions",
                   CMSIS_NN[board][key.split("_")[0]], "CMSIS-NN, GCC " + ("-O2" if board == "m4f" else "-O3"))
            if board == "m4f":
                figure(f"core.m4f.{key}.text_bytes", m["text"], "bytes", CMSIS_NN["text"][key.split("_")[0]], "CMSIS-NN")
                figure(f"core.m4f.{key}.ram_bytes", m["ram"], "bytes", CMSIS_NN["ram"][key.split("_")[0]], "CMSIS-NN")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
