"""The parity matrix: the same plans on the same inputs on every machine, every intermediate tensor's hash compared.

  embedded_target/parity/parity.py [--short] [MACHINE...]
  embedded_target/parity/parity.py --plan PLAN [--plan PLAN]... [--input FILE] [--json]    (lockstep model parity)

Machines: the host's reference and each of its kernel sets that this processor has (AVX-VNNI also where only the
same instruction of AVX512 is there, in that encoding), Cortex-M3, M4F, M7, M33 and M55 (QEMU system machines, bare), RV32
(QEMU virt, bare) and AArch64 (QEMU user: with the dot product, and a Cortex-A53, which has none). Each also runs random layers through its kernels and the plain reference
and compares the bytes. Exit 1 when anything differs; the first differing layer is named.

With --plan it is a user's plans, without random layers, on the machines whose compiler and emulator are installed.
FILE holds their inputs as float32, one after another; without it they are random."""
import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("LOCKSTEP_BUILD", os.path.join(ROOT, "build"))
DATA = os.environ.get("LOCKSTEP_DATA", os.path.join(ROOT, "..", "shared", "data"))
OUT = os.path.join(BUILD, "parity")
FLAGS = ["-O2", "-std=c++17", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics",
         "-ffunction-sections", "-fdata-sections", "-fno-tree-vectorize", "-I", ROOT]
BARE = ["-DLOCKSTEP_BARE", "-ffreestanding"]
ARM = ["arm-none-eabi-g++", "-mthumb", "-fno-use-cxa-atexit", *BARE]
RV32 = ["riscv64-unknown-elf-g++", "-march=rv32imac", "-mabi=ilp32", "-mcmodel=medany", "-mno-relax", "--specs=picolibc.specs", *BARE]
# The boards of embedded_target; the plans go to the upper half of their RAM.
BOARDS = {"m3": "mps2-an385", "m4f": "mps2-an386", "m7": "mps2-an500", "m33": "mps2-an505",
          "m55": "mps3-an547"}
HOST_SETS = ["avx2", "avx-vnni", "avx512-vnni"]
AARCH64 = {"aarch64": ("max", "neon-dot"), "aarch64-a53": ("cortex-a53", None)}  # processor, the set it must have
PLANS_ROOM = 2 << 20
MACHINES = ["host-reference", *HOST_SETS, *BOARDS, "rv32", *AARCH64]
RV32_LINK = """ENTRY(_start) SECTIONS { . = 0x80000000;
  .text : { *(.start) *(.text*) *(.rodata*) *(.srodata*) } .data : { *(.data*) *(.sdata*) }
  .bss : { *(.sbss*) *(.bss*) *(COMMON) } . = ALIGN(16); . += 0x20000; stack_top = .; }
"""
RV32_START = 'asm(".section .start\\n.global _start\\n_start: la sp, stack_top\\ncall firmware_main\\n");\n'


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def sources():
    found = [os.path.join(ROOT, "embedded_target/parity/parity.cpp"), os.path.join(ROOT, "dsp/base/crc32c.cpp"),
             os.path.join(ROOT, "dsp/base/code.cpp")]
    for part in ("models/core/ops", "models/core/kernels"):
        found += [os.path.join(ROOT, part, n) for n in sorted(os.listdir(os.path.join(ROOT, part))) if n.endswith(".cpp")]
    found += [os.path.join(ROOT, "models/core", n) for n in ("engine.cpp", "ops.cpp", "plan.cpp")]
    return found


def build(machine, compiler, extra, link, cases):
    """Objects are compiled by ccache where it is installed: a second run is quick."""
    folder = os.path.join(OUT, machine)
    os.makedirs(folder, exist_ok=True)
    cache = ["ccache"] if subprocess.run(["which", "ccache"], capture_output=True).returncode == 0 else []
    objects = []
    for source in [*sources(), *extra]:
        target = os.path.join(folder, os.path.relpath(source, ROOT).replace("/", "_").replace("..", "") + ".o")
        define = [f"-DKERNEL_CASES={cases}"] if source.endswith("parity.cpp") else []
        run(*cache, *compiler, *FLAGS, *define, "-c", source, "-o", target)
        objects.append(target)
    program = os.path.join(folder, "parity")
    # picolibc comes without a C++ library, which nothing here needs.
    run(compiler[0].replace("elf-g++", "elf-gcc"), *compiler[1:], *objects, "-Wl,--gc-sections", *link, "-o", program)
    return program


def board_values(board):
    text = open(os.path.join(ROOT, "embedded_target/boards", board, "board.cmake")).read()
    values = dict(re.findall(r"set\((\w+) ([^)]+)\)", text))
    values["name"] = board
    return values


def run_board(machine, plans, cases):
    board = BOARDS[machine]
    values = board_values(board)
    address = int(values["RAM_ORIGIN"], 16) + (2 << 20)
    values["RAM_SIZE"] = "2M"
    folder = os.path.join(OUT, machine)
    os.makedirs(folder, exist_ok=True)
    script = os.path.join(folder, "board.ld")
    template = open(os.path.join(ROOT, "embedded_target/cortex_m.ld.in")).read()
    with open(script, "w") as f:
        f.write(re.sub(r"@(\w+)@", lambda m: values[m.group(1)], template))
    cpu = values["BOARD_CPU"].split()
    program = build(machine, [*ARM, *cpu, f"-DLOCKSTEP_PLANS={address:#x}"],
                    [os.path.join(ROOT, "embedded_target/chips/cortex_m.cpp")],
                    ["-nostartfiles", "--specs=nano.specs", "-Wl,--build-id=sha1", "-Wl,-T," + script], cases)
    return run("qemu-system-arm", "-M", board, "-nographic", "-semihosting", "-kernel", program, "-device",
               f"loader,file={plans},addr={address:#x},force-raw=on", timeout=300)


def run_rv32(plans, cases):
    folder = os.path.join(OUT, "rv32")
    os.makedirs(folder, exist_ok=True)
    for name, text in (("board.ld", RV32_LINK), ("start.cpp", RV32_START)):
        with open(os.path.join(folder, name), "w") as f:
            f.write(text)
    program = build("rv32", [*RV32, "-DLOCKSTEP_PLANS=0x84000000"], [os.path.join(folder, "start.cpp")],
                    ["-nostartfiles", "-T", os.path.join(folder, "board.ld")], cases)
    return run("qemu-system-riscv32", "-M", "virt", "-bios", "none", "-nographic", "-semihosting", "-kernel", program,
               "-device", f"loader,file={plans},addr=0x84000000,force-raw=on", timeout=300)


def run_machine(machine, plans, cases):
    if machine in BOARDS:
        return run_board(machine, plans, cases)
    if machine == "rv32":
        return run_rv32(plans, cases)
    if machine in AARCH64:
        processor, kernels = AARCH64[machine]
        program = build(machine, ["aarch64-linux-gnu-g++"], [], ["-static"], cases)
        return run("qemu-aarch64", "-cpu", processor, program, plans, *([kernels] if kernels else []))
    if machine == "host-reference":
        return run(build(machine, ["g++", "-DLOCKSTEP_REFERENCE_ONLY"], [], [], cases), plans)
    other_encoding = ["-DLOCKSTEP_AVX_VNNI_AS_AVX512"] if machine == "avx-vnni" and "avx_vnni" not in cpu() else []
    return run(build(machine, ["g++", *other_encoding], [], [], cases), plans, machine)


def cpu():
    """Flags of this processor."""
    try:
        return re.search(r"^flags.*", open("/proc/cpuinfo").read(), re.M)[0].split()
    except (OSError, TypeError):
        return []


def here(machine):
    """Whether this processor can run the machine's kernels."""
    needs = {"avx2": ["avx2"], "avx-vnni": ["avx_vnni"], "avx512-vnni": ["avx512_vnni", "avx512vl"]}
    return set(needs.get(machine, [])) <= set(cpu()) or (machine == "avx-vnni" and here("avx512-vnni"))


def tools(machine):
    """Programs that the machine needs, the host's compiler aside."""
    if machine in BOARDS:
        return ["arm-none-eabi-g++", "qemu-system-arm"]
    return {"rv32": ["riscv64-unknown-elf-g++", "qemu-system-riscv32"],
            **dict.fromkeys(AARCH64, ["aarch64-linux-gnu-g++", "qemu-aarch64"])}.get(machine, ["g++"])


def project_plans(models):
    """The shipped plans, those of the shared models in the layout for any target and for Armv7E-M, and
    movement_plans()."""
    paths = []
    for folder, _, names in sorted(os.walk(os.path.join(ROOT, "resources/models"))):
        paths += [os.path.join(folder, n) for n in sorted(names) if n.endswith(".lsplan")]
    for target in ("any", "cortex-m4"):
        for model in models:
            folder = os.path.join(OUT, "plans", target)
            os.makedirs(folder, exist_ok=True)
            run(os.path.join(BUILD, "benchmarks/plan_to_source"), os.path.join(DATA, "models", model + ".tflite"), model,
                folder, target)
            paths.append(os.path.join(folder, model + ".lsplan"))
    return paths + movement_plans()


def movement_plans():
    """The movement model in the forms that no shipped plan has: by hops, over int16, over both types."""
    source = os.path.join(ROOT, "resources/models/movement")
    folder = os.path.join(OUT, "plans", "forms")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(source, "preprocessing.json"), encoding="utf-8") as f:
        way = json.load(f)
    way["inputs"][0]["window"]["hop"] = 20  # which the network's strides divide
    hops = os.path.join(folder, "preprocessing.json")
    with open(hops, "w", encoding="utf-8") as f:
        json.dump(way, f)
    streaming, int16 = ["--streaming", "--lag"], ["--activations", "int16"]
    mixed = ["--int16", "input", "--int16", "/body/body.0/Conv"]
    paths = []
    for name, options in (("streaming", streaming), ("int16", int16), ("mixed", mixed), ("streaming-int16", streaming + int16)):
        paths.append(os.path.join(folder, name + ".lsplan"))
        run(os.path.join(BUILD, "bin/lockstep"), "model", "convert", os.path.join(source, "movement.onnx"), "-o", paths[-1],
            "--preprocessing", hops, "--calibration", os.path.join(source, "calibration/inputs.npy"), "--name", name,
            "--force", *options)
    return paths


def pack(paths, inputs=b""):
    os.makedirs(OUT, exist_ok=True)
    out = struct.pack("<I12x", len(paths))
    for path in paths:
        with open(path, "rb") as f:
            blob = f.read()
        out += struct.pack("<II8x", len(blob), len(inputs))
        for part in (blob, inputs):
            out += part + bytes(-len(part) % 16)
    if len(out) > PLANS_ROOM:
        raise RuntimeError(f"plans and inputs are {len(out)} bytes; boards have room for {PLANS_ROOM}")
    file = os.path.join(OUT, "plans.bin")
    with open(file, "wb") as f:
        f.write(out)
    return file


def stages(said):
    """Lines of one machine: [(plan/ window. number name, hash)], and the line about its kernels."""
    lines = [line for line in said.splitlines() if line]
    if not lines or lines[-1] != "done":
        raise RuntimeError(f"it did not end: {said[-300:]!r}")
    for line in lines:
        if line.startswith(("a plan does not", "an input is")):
            raise RuntimeError(line)
    found = [tuple(line.rsplit(" ", 1)) for line in lines if "/" in line]
    return found, next(line for line in lines if line.startswith("kernels"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="fewer plans and random layers, as in ./dev test")
    parser.add_argument("--cases", type=int, help="random layers a machine")
    parser.add_argument("--plan", action="append", default=[], help="instead of the project's plans")
    parser.add_argument("--input", help="float32 inputs of the plans")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("machines", nargs="*", metavar="MACHINE")
    args = parser.parse_args()
    args.short |= "LOCKSTEP_PARITY_SHORT" in os.environ
    table = sys.stderr if args.json else sys.stdout
    paths, inputs = args.plan, b""
    if args.input:
        with open(args.input, "rb") as f:
            inputs = f.read()
    if not paths:
        models = ["imu", "eeg"] if args.short else ["ad01_int8", "kws_ref_model", "imu", "eeg"]
        paths = project_plans(models if os.path.isdir(DATA) else [])
    plans = pack(paths, inputs)
    cases = 0 if args.plan else args.cases or (300 if args.short else 3000)
    machines = args.machines or [m for m in MACHINES if here(m)]
    for machine in set(MACHINES) - set(machines) if not args.machines else []:
        print(f"{machine}: this processor does not have it", file=table)
    for machine in machines if args.plan else []:
        missing = [tool for tool in tools(machine) if shutil.which(tool) is None]
        if missing:
            print(f"{machine}: left out, {' and '.join(missing)} not installed", file=table)
            machines = [m for m in machines if m != machine]
    if "host-reference" not in machines:
        machines = ["host-reference", *machines]

    def attempt(machine):
        try:
            return stages(run_machine(machine, plans, cases))
        except (RuntimeError, subprocess.TimeoutExpired, FileNotFoundError) as e:
            return str(e)

    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(machines, pool.map(attempt, machines)))
    return report(machines, results, len(paths), table, args.json)


def report(machines, results, plans, table, as_json):
    """Prints the matrix; the exit status."""
    failed = {m: r for m, r in results.items() if isinstance(r, str)}
    for machine, why in failed.items():
        print(f"{machine}: {why}", file=table)
    reference = results["host-reference"]
    if isinstance(reference, str):
        return 1
    width = max(len(n) for n, _ in reference[0]) + 2
    print(" " * width + "hash     " + " ".join(f"{m:>14}" for m in machines), file=table)
    first, rows = {}, []
    for i, (name, wanted) in enumerate(reference[0]):
        cells = {}
        for machine in machines:
            got = "failed"
            if machine not in failed:
                got = results[machine][0][i][1] if i < len(results[machine][0]) else "none"
                if got != wanted:
                    first.setdefault(machine, name)
            cells[machine] = "same" if got == wanted else got
        rows.append({"tensor": name, "hash": wanted, "machines": cells})
        print(f"{name:{width}}{wanted} " + " ".join(f"{c:>14}" for c in cells.values()), file=table)
    status = 1 if failed else 0
    for machine, name in first.items():
        print(f"{machine}: the first layer that differs is {name}", file=table)
        status = 1
    for machine in machines:
        if machine in failed:
            continue
        line = results[machine][1]
        if " cases 0 " not in line:
            print(f"{machine:16}{line}", file=table)
        if " wrong 0 " not in line or line.split()[-1] != reference[1].split()[-1]:
            print(f"{machine}: a kernel differs from the reference", file=table)
            status = 1
    print(f"{plans} plans, {len(reference[0])} tensors, {len(machines)} machines: "
          + ("every one the same" if status == 0 else "NOT the same"), file=table)
    if as_json:
        print(json.dumps({"same": status == 0, "machines": machines, "failed": failed, "first_difference": first,
                          "tensors": rows}))
    return status


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as e:
        print(e, file=sys.stderr)
        sys.exit(2)
