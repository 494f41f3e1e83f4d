//! Loaded before a program (`LD_PRELOAD`), makes this machine look like another one: a tool of the
//! test `one_result`, which compiles it with `rustc --crate-type cdylib`. x86-64 Linux only.
//!
//! `HIDE_AVX512`: every CPUID instruction faults (`arch_prctl`, ARCH_SET_CPUID), and the fault is
//! answered with the processor's own values less AVX-512 and AMX. Exits with 77 where the processor
//! cannot do that. `HIDE_CACHES`: the list of caches in `/sys` cannot be read, so that who wants it
//! asks `lscpu`, which the test puts into PATH.

use std::{
    arch::x86_64::__cpuid_count,
    ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void},
};

const SYS_ARCH_PRCTL: c_long = 158;
const ARCH_SET_CPUID: c_int = 0x1012;
const SIGSEGV: c_int = 11;
const SA_SIGINFO: c_int = 4;
const SA_NODEFER: c_int = 0x4000_0000;
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

/// The C library's `struct sigaction` on x86-64 Linux.
#[repr(C)]
struct Action {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn sigaction(signal: c_int, new: *const Action, old: *mut Action) -> c_int;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn _exit(code: c_int) -> !;
}

/// Whether CPUID runs (or faults, from now on) in this thread and those that it starts.
fn allow_cpuid(allowed: bool) -> bool {
    unsafe { syscall(SYS_ARCH_PRCTL, ARCH_SET_CPUID, c_ulong::from(allowed)) == 0 }
}

/// What CPUID says, without AVX-512 and AMX (leaf 7).
fn altered(leaf: u32, part: u32) -> [u32; 4] {
    let r = __cpuid_count(leaf, part);
    let [mut a, mut b, mut c, mut d] = [r.eax, r.ebx, r.ecx, r.edx];
    let hide = |register: &mut u32, bits: &[u32]| {
        for bit in bits {
            *register &= !(1 << bit);
        }
    };
    match (leaf, part) {
        (7, 0) => {
            hide(&mut b, &[16, 17, 21, 26, 27, 28, 30, 31]);
            hide(&mut c, &[1, 6, 11, 12, 14]);
            hide(&mut d, &[2, 3, 8, 22, 23, 24, 25]);
        }
        (7, 1) => hide(&mut a, &[5]),
        _ => {}
    }
    [a, b, c, d]
}

/// Answers a CPUID instruction that has faulted; any other fault ends the program as usual.
extern "C" fn fault(_: c_int, _: *mut c_void, context: *mut c_void) {
    // Where `ucontext_t` keeps the general registers, and their numbers.
    const REGISTERS: usize = 40;
    const RBX: usize = 11;
    const RDX: usize = 12;
    const RAX: usize = 13;
    const RCX: usize = 14;
    const RIP: usize = 16;
    unsafe {
        let registers = context.cast::<u8>().add(REGISTERS).cast::<u64>();
        let instruction = *registers.add(RIP) as *const u8;
        if [*instruction, *instruction.add(1)] != [0x0f, 0xa2] {
            let default = Action {
                handler: 0,
                mask: [0; 16],
                flags: 0,
                restorer: 0,
            };
            sigaction(SIGSEGV, &raw const default, std::ptr::null_mut());
            return;
        }
        allow_cpuid(true);
        let values = altered(*registers.add(RAX) as u32, *registers.add(RCX) as u32);
        allow_cpuid(false);
        for (register, value) in [RAX, RBX, RCX, RDX].into_iter().zip(values) {
            *registers.add(register) = u64::from(value);
        }
        *registers.add(RIP) += 2;
    }
}

extern "C" fn begin() {
    if std::env::var_os("HIDE_AVX512").is_none() {
        return;
    }
    let action = Action {
        handler: fault as *const () as usize,
        mask: [0; 16],
        flags: SA_SIGINFO | SA_NODEFER,
        restorer: 0,
    };
    unsafe {
        sigaction(SIGSEGV, &raw const action, std::ptr::null_mut());
        if !allow_cpuid(false) {
            _exit(77);
        }
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

/// The C library's function, but for the list of caches.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendir(path: *const c_char) -> *mut c_void {
    unsafe {
        let hidden = CStr::from_ptr(path) == c"/sys/devices/system/cpu";
        if hidden && std::env::var_os("HIDE_CACHES").is_some() {
            return std::ptr::null_mut();
        }
        let next = dlsym(RTLD_NEXT, c"opendir".as_ptr());
        let next: extern "C" fn(*const c_char) -> *mut c_void = std::mem::transmute(next);
        next(path)
    }
}
