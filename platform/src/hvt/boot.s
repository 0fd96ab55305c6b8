# From the tender's entry in ring 0 to the program in ring 3; and the trap handler, all that is left in ring 0 afterwards.
#
# Integer registers only: where the hypervisor itself has no hardware virtualisation, ring 0 is emulated an instruction at a
# time and knows no SSE. Loops are kept short for the same reason.
#
# What ring 3 can touch when it starts:
#   0          0x10000    nothing, so that a null pointer faults
#   0x10000    0x20000    boot information, manifest, command line          RW
#   text                                                                   R X
#   rodata                                                                 R
#   stack; data and bss                                                    RW
#   supervisor            nothing: page tables, GDT, IDT, TSS, this stack
#   image end  memory end  heap, and the network ring behind it             RW
# Everything but text is no-execute.

.set USER_R,  (1 << 63) | 0x5
.set USER_RX, 0x5
.set USER_RW, (1 << 63) | 0x7
.set SUPERVISOR_RW, (1 << 63) | 0x3
.set TABLE, 0x7
.set LARGE_PAGE, 1 << 7
.set LARGE_PAGE_BYTES, 0x200000

.set KERNEL_CODE, 0x08
.set KERNEL_DATA, 0x10
.set USER_DATA, 0x1b
.set USER_CODE, 0x23
.set TASK, 0x28
.set FLAGS_RING_3, 0x3002          # IOPL 3, interrupts masked

.set EFER, 0xc0000080
.set EFER_NO_EXECUTE, 1 << 11
.set FS_BASE, 0xc0000100
.set CR4_OSFXSR_OSXMMEXCPT, (1 << 9) | (1 << 10)
.set CR4_FSGSBASE, 1 << 16
.set CR4_OSXSAVE, 1 << 18

.set BOOT_INFO_PAGES, 0x10000
.set BOOT_INFO_PAGES_END, 0x20000
.set BOOT_INFO_MEM_SIZE, 0
.set BOOT_INFO_NET_RING, 48

.pushsection .text.boot, "ax", @progbits
.globl _start
_start:
    mov r15, rdi                        # boot information
    lea rsp, [rip + supervisor_stack_top]

# Page tables: 4 KiB pages below 4 MiB, which holds the image (link.ld asserts it), 2 MiB pages above.
    mov ecx, EFER
    rdmsr
    or eax, EFER_NO_EXECUTE
    wrmsr

    mov esi, BOOT_INFO_PAGES
    mov edx, BOOT_INFO_PAGES_END
    movabs r8, USER_RW
    call map_pages
    lea rsi, [rip + __text_start]
    lea rdx, [rip + __text_end]
    mov r8d, USER_RX
    call map_pages
    lea rdx, [rip + __rodata_end]       # each range starts where the one before ended
    movabs r8, USER_R
    call map_pages
    lea rdx, [rip + __data_end]         # stack, data, bss
    movabs r8, USER_RW
    call map_pages
    lea rdx, [rip + __image_end]
    movabs r8, SUPERVISOR_RW
    call map_pages
    mov edx, 2 * LARGE_PAGE_BYTES
    movabs r8, USER_RW
    call map_pages

    lea rdi, [rip + page_directories]
    lea rax, [rip + page_tables + TABLE]
    mov [rdi], rax
    add rax, 0x1000
    mov [rdi + 8], rax
    mov rdx, [r15 + BOOT_INFO_NET_RING] # the ring lies behind the memory that is ours
    add rdx, LARGE_PAGE_BYTES
    mov rax, [r15 + BOOT_INFO_MEM_SIZE]
    cmp rdx, rax
    cmovb rdx, rax
    movabs rax, USER_RW | LARGE_PAGE
    add rax, 2 * LARGE_PAGE_BYTES
    mov esi, 2 * LARGE_PAGE_BYTES
    add rdi, 16
1:  cmp rsi, rdx
    jae 2f
    mov [rdi], rax
    add rdi, 8
    add rax, LARGE_PAGE_BYTES
    add rsi, LARGE_PAGE_BYTES
    jmp 1b
2:  lea rdi, [rip + page_directory_pointers]
    lea rax, [rip + page_directories + TABLE]
    mov ecx, 4
3:  mov [rdi], rax
    add rdi, 8
    add rax, 0x1000
    dec ecx
    jnz 3b
    lea rdi, [rip + page_map]
    lea rax, [rip + page_directory_pointers + TABLE]
    mov [rdi], rax
    mov cr3, rdi

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

# Traps: 32 gates to 32 stubs of 16 bytes.
    lea rdi, [rip + gates]
    lea rax, [rip + trap_stubs]
    movabs rdx, 0x00008e0000080000      # present, ring 0, interrupt gate, kernel code
    mov ecx, 32
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
    mov word ptr [rsp + 6], 32 * 16 - 1
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
    xor ebp, ebp
    lea rax, [rip + __stack_top - 8]    # as if called
    push USER_DATA
    push rax
    push FLAGS_RING_3
    push USER_CODE
    lea rax, [rip + {start}]
    push rax
    iretq

# Maps the pages from rsi up to rdx to themselves with the bits of r8; leaves rsi at the end.
map_pages:
    lea rdi, [rip + page_tables]
    mov rax, rsi
    shr rax, 9                          # page number times 8
    add rdi, rax
    mov rax, rsi
    or rax, r8
1:  cmp rsi, rdx
    jae 2f
    mov [rdi], rax
    add rdi, 8
    add rax, 0x1000
    add rsi, 0x1000
    jmp 1b
2:  ret

# Traps. The stack holds, from rsp up: vector, error code, rip, cs, rflags, rsp, ss.
.balign 16
trap_stubs:
.set vector, 0
.rept 32
    .balign 16
    .if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17) | (vector == 21) | (vector == 29) | (vector == 30)
    .else
    push 0
    .endif
    push vector
    jmp trap
    .set vector, vector + 1
.endr

.set VECTOR_GENERAL_PROTECTION, 13
.set OUT_DX_EAX, 0xef

.balign 16
trap:
    test byte ptr [rsp + 24], 3
    jz fault_in_ring_0
    cmp dword ptr [rsp], VECTOR_GENERAL_PROTECTION
    jne fault
    push rax
    mov rax, [rsp + 24]
    cmp byte ptr [rax], OUT_DX_EAX
    pop rax
    jne fault
    # A hypercall where IOPL is not honoured. Which port is the tender's business, as it is where IOPL works.
    out dx, eax
    add rsp, 16
    inc qword ptr [rsp]
    iretq

# A fault in ring 3: keep the registers and let ring 3 report them on a stack of its own. A second one ends the image.
fault:
    push rax
    lea rax, [rip + FAULT]
    cmp dword ptr [rax], 0
    jne fault_again
    mov dword ptr [rax], 1
    mov [rax + 16], rbx
    mov [rax + 24], rcx
    mov [rax + 32], rdx
    mov [rax + 40], rsi
    mov [rax + 48], rdi
    mov [rax + 56], rbp
    mov [rax + 64], r8
    mov [rax + 72], r9
    mov [rax + 80], r10
    mov [rax + 88], r11
    mov [rax + 96], r12
    mov [rax + 104], r13
    mov [rax + 112], r14
    mov [rax + 120], r15
    pop rcx
    mov [rax + 8], rcx
    mov rcx, cr2
    mov [rax + 128], rcx
    pop qword ptr [rax + 136]           # vector
    pop qword ptr [rax + 144]           # error code
    pop qword ptr [rax + 152]           # rip
    pop rcx
    pop qword ptr [rax + 160]           # rflags
    pop qword ptr [rax + 168]           # rsp
    pop rcx
    mov rdi, rax
    xor ebp, ebp
    lea rax, [rip + REPORT_STACK + {report_stack_size} - 8]
    push USER_DATA
    push rax
    push FLAGS_RING_3
    push USER_CODE
    lea rax, [rip + {report}]
    push rax
    iretq

fault_in_ring_0:
fault_again:
    lea rax, [rip + {last_words}]
    push {last_words_length}
    push rax
    mov eax, esp
    mov edx, {port_puts}
    out dx, eax
    push 255                            # exit status
    push 0                              # no cookie
    mov eax, esp
    mov edx, {port_halt}
    out dx, eax
1:  hlt
    jmp 1b
.popsection

.pushsection .supervisor, "aw", @nobits
.balign 4096
page_map:                .skip 0x1000
page_directory_pointers: .skip 0x1000
page_directories:        .skip 0x4000   # 4 GiB, all that hypercalls can point to
page_tables:             .skip 0x2000
supervisor_stack:        .skip 0x0800
supervisor_stack_top:
gates:                   .skip 32 * 16
segments:                .skip 0x38
.balign 16
task_state:              .skip 104
.popsection
