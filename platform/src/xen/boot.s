# What ring 0 does on Xen alone: it finds the hypercalls, and makes them for ring 3, from whom Xen takes none.

.set LOW_START, 0x1000
.set LOW_END, 0x100000
.set GATES, 32                     # no interrupt ever comes

.set XEN_LEAVES, 0x40000000        # in steps of 0x100, where others are emulated as well
.set XEN_LEAVES_END, 0x40010000

.set HYPERCALL_SIZE, 32
.set ARGUMENT_MAX, 64              # more bytes than any structure that rsi points to
.set SCHED_OP, {sched_op}
.set EVENT_CHANNEL_OP, {event_channel_op}
.set SHUTDOWN, {shutdown}
.set SEND, {send}
.set ALLOCATE_UNBOUND, {allocate_unbound}
.set CRASH, {crash}
.set NO_HYPERCALLS, -38            # ENOSYS
.set NOT_ALLOWED, -1               # EPERM

.set DEBUG_PORT, 0xe9              # Xen's own log: `xl dmesg`

.pushsection .text.boot, "ax", @progbits

# Has Xen write its hypercalls into their page. Source: Xen public/arch-x86/cpuid.h.
set_up_target:
    mov r8d, XEN_LEAVES
1:  mov eax, r8d
    cpuid
    cmp ebx, 0x566e6558                 # "XenV"
    jne 2f
    cmp ecx, 0x65584d4d                 # "MMXe"
    jne 2f
    cmp edx, 0x4d4d566e                 # "nVMM"
    je 3f
2:  add r8d, 0x100
    cmp r8d, XEN_LEAVES_END
    jb 1b
    ret                                 # no Xen: every hypercall fails
3:  lea eax, [r8 + 2]
    cpuid
    mov ecx, ebx
    xor edx, edx
    lea rax, [rip + hypercalls]
    wrmsr
    mov byte ptr [rip + has_hypercalls], 1
    ret

# A hypercall: its number in r9d, arguments and result as Xen has them. Those that could move memory about (another page in
# place of a page table) are for the time before the program runs; then the door is closed, and those are left that block, end
# the domain, raise events, and make an event channel. Xen reads and writes a hypercall's structure with the rights of ring 0, so one that
# lies among the page tables, or reaches into them, is refused.
request_of_target:
    cmp eax, {request_seal}
    je 6f
    cmp eax, {request_hypercall}
    jne fault
    cmp byte ptr [rip + has_hypercalls], 0
    je 7f
    cmp r9d, SCHED_OP
    je 4f
    cmp r9d, EVENT_CHANNEL_OP
    jne 3f
    cmp rdi, SEND                       # others name pages that Xen then writes to
    je 4f
    cmp rdi, ALLOCATE_UNBOUND
    je 4f
3:  cmp byte ptr [rip + sealed], 0
    jne 8f
    cmp r9d, 64
    jae 8f
4:  lea rax, [rip + __data_end - ARGUMENT_MAX]
    cmp rsi, rax
    jb 9f
    lea rax, [rip + __image_end]
    cmp rsi, rax
    jb 8f
9:  call hypercall
    jmp continue_1
6:  mov byte ptr [rip + sealed], 1
    jmp continue_1
7:  mov rax, NO_HYPERCALLS
    jmp continue_1
8:  mov rax, NOT_ALLOWED
    jmp continue_1

hypercall:
    imul r9d, r9d, HYPERCALL_SIZE
    lea rax, [rip + hypercalls]
    add rax, r9
    jmp rax

# A fault in ring 0, or in the report of one: there is nobody left to make another.
die_in_ring_0:
    lea rsi, [rip + {last_words}]
    mov ecx, {last_words_length}
    mov edx, DEBUG_PORT
5:  mov al, [rsi]
    out dx, al
    inc rsi
    dec ecx
    jnz 5b
    cmp byte ptr [rip + has_hypercalls], 0
    je reset
    mov edi, SHUTDOWN
    push CRASH
    mov rsi, rsp
    mov r9d, SCHED_OP
    call hypercall
    jmp reset

.popsection

.pushsection .text.hypercalls, "ax", @progbits
.balign 4096
hypercalls: .skip 0x1000
.popsection

.pushsection .supervisor, "aw", @nobits
has_hypercalls: .skip 8
sealed:         .skip 8
.popsection
