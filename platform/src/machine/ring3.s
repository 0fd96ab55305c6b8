# Ring 0, part 2: descriptor tables, what ring 3 needs of the control registers, and the way there.
#
# The target's boot.s sets GATES: 32 for the CPU's own exceptions, more where interrupts end a hlt.

.set KERNEL_CODE, 0x08
.set KERNEL_DATA, 0x10
.set USER_DATA, 0x1b
.set USER_CODE, 0x23
.set TASK, 0x28
.set FLAGS_RING_3, 0x3002          # IOPL 3, interrupts masked

.set FS_BASE, 0xc0000100
.set CR4_OSFXSR_OSXMMEXCPT, (1 << 9) | (1 << 10)
.set CR4_FSGSBASE, 1 << 16
.set CR4_OSXSAVE, 1 << 18

.pushsection .text.boot, "ax", @progbits

# Continues in ring 3 at `start`, on the image's stack, with r15 and r14 as its arguments.
enter_ring_3:

# Segments: kernel code and data, user data and code, the task state.
    lea rdi, [rip + segments]
    movabs rax, 0x00af9a000000ffff
    mov [rdi + KERNEL_CODE], rax
    movabs rax, 0x00cf92000000ffff
    mov [rdi + KERNEL_DATA], rax
    movabs rax, 0x00cff2000000ffff
    mov [rdi + (USER_DATA & ~3)], rax
    movabs rax, 0x00affa000000ffff
    mov [rdi + (USER_CODE & ~3)], rax
    lea rax, [rip + task_state]         # below 4 GiB, in the first 16 MiB: link.ld
    mov rcx, rax
    shl rcx, 16
    movabs rdx, 0x0000890000000067
    or rcx, rdx
    mov [rdi + TASK], rcx
    lea rcx, [rip + supervisor_stack_top]
    mov [rax + 4], rcx                  # stack on entry from ring 3
    mov word ptr [rax + 102], 104       # no I/O bitmap: IOPL 3 allows every port
    push rdi
    sub rsp, 8
    mov word ptr [rsp + 6], 0x37
    lgdt [rsp + 6]
    add rsp, 16
    mov eax, TASK
    ltr ax
    mov eax, USER_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax

# Traps: gates to stubs of 16 bytes.
    lea rdi, [rip + gates]
    lea rax, [rip + trap_stubs]
    movabs rdx, 0x00008e0000080000      # present, ring 0, interrupt gate, kernel code
    mov ecx, GATES
4:  mov rsi, rax
    and esi, 0xffff
    or rsi, rdx
    mov [rdi], rsi
    mov rsi, rax
    shr rsi, 16
    mov [rdi + 6], si                   # offset bits 16 to 31; the higher ones are zero
    add rax, 16
    add rdi, 16
    dec ecx
    jnz 4b
    lea rdi, [rip + gates]
    push rdi
    sub rsp, 8
    mov word ptr [rsp + 6], GATES * 16 - 1
    lidt [rsp + 6]
    add rsp, 16

# SSE, AVX and the thread pointer for ring 3.
    mov eax, 7
    xor ecx, ecx
    cpuid
    mov rdi, cr4
    or edi, CR4_OSFXSR_OSXMMEXCPT
    test ebx, 1
    jz 5f
    or edi, CR4_FSGSBASE
5:  mov eax, 1
    cpuid
    bt ecx, 26                          # XSAVE
    jnc 6f
    or edi, CR4_OSXSAVE
    mov cr4, rdi
    mov eax, 13
    xor ecx, ecx
    cpuid
    and eax, 7                          # x87, SSE, AVX
    xor ecx, ecx
    xor edx, edx
    xsetbv
    jmp 7f
6:  mov cr4, rdi
7:  mov ecx, FS_BASE
    lea rax, [rip + __thread_pointer]
    xor edx, edx
    wrmsr

    mov rdi, r15
    mov rsi, r14
    xor ebp, ebp
    lea rax, [rip + __stack_top - 8]    # as if called
    push USER_DATA
    push rax
    push FLAGS_RING_3
    push USER_CODE
    lea rax, [rip + {start}]
    push rax
    iretq
.popsection

.pushsection .supervisor, "aw", @nobits
.balign 16
supervisor_stack:        .skip 0x0800
supervisor_stack_top:
gates:                   .skip GATES * 16
segments:                .skip 0x38
.balign 16
task_state:              .skip 104
.popsection
