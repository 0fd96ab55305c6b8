# Ring 0, part 1: page tables, no page of which is both writable and executable. Memory is mapped to itself.
#
# Integer registers only: where the hypervisor itself has no hardware virtualisation, ring 0 is emulated an instruction at a
# time and knows no SSE. Loops are kept short for the same reason.
#
# What ring 3 can touch when it starts:
#   0          LOW_START  nothing, so that a null pointer faults
#   LOW_START  LOW_END    what the loader left there                        RW
#   text                                                                   R X
#   rodata                                                                 R
#   stack; data and bss                                                    RW
#   supervisor            nothing: page tables, GDT, IDT, TSS, this stack
#   image end  pages end  content baked in, heap                           RW
# Everything but text is no-execute. Pages end 2 MiB or less behind the image. Memory and devices above are added when ring 3 asks (map_large_pages): mapped to
# itself and no-execute as well, so nothing above the image ever becomes code.
#
# The target's boot.s comes first in the assembly and sets LOW_START and LOW_END.

.set USER_R,  (1 << 63) | 0x5
.set USER_RX, 0x5
.set USER_RW, (1 << 63) | 0x7
.set SUPERVISOR_RW, (1 << 63) | 0x3
.set TABLE, 0x7
.set LARGE_PAGE, 1 << 7
.set UNCACHED, 0x18                # PCD, PWT
.set LARGE_PAGE_BYTES, 0x200000
.set PAGE_TABLES, 4                # 8 MiB: link.ld

.set EFER, 0xc0000080
.set EFER_NO_EXECUTE, 1 << 11

.set SPARE_TABLES, 12

.pushsection .text.boot, "ax", @progbits

# Builds the page tables and switches to them. 4 KiB pages up to __pages_end, which is behind the image (link.ld).
set_up_tables:
    mov ecx, EFER
    rdmsr
    or eax, EFER_NO_EXECUTE
    wrmsr

    mov esi, LOW_START
    mov edx, LOW_END
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
    lea rdx, [rip + __pages_end]
    movabs r8, USER_RW
    call map_pages

    lea rdi, [rip + page_directory]
    lea rax, [rip + page_tables + TABLE]
    mov ecx, PAGE_TABLES                # one that maps nothing is in nobody's way
1:  mov [rdi], rax
    add rdi, 8
    add rax, 0x1000
    dec ecx
    jnz 1b
    lea rax, [rip + page_directory + TABLE]
    mov [rip + page_directory_pointers], rax
    lea rax, [rip + page_directory_pointers + TABLE]
    mov [rip + page_map], rax
    lea rax, [rip + page_map]
    mov cr3, rax
    ret

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

# Maps the 2 MiB pages from rdi up to rsi to themselves, as memory (edx 0) or as a device (1). eax: 1 done, 0 refused.
# The rules that keep this harmless whoever asks: never below __pages_end, where code and tables lie; always no-execute.
map_large_pages:
    mov rax, rdi
    or rax, rsi
    test eax, LARGE_PAGE_BYTES - 1
    jnz 5f
    lea rax, [rip + __pages_end]
    cmp rdi, rax
    jb 5f
    mov rax, rsi
    shr rax, 47                         # the lower half of what four levels reach; cloud-hypervisor's devices end at 2^46
    jnz 5f
    movabs r10, USER_RW | LARGE_PAGE
    test edx, edx
    jz 1f
    or r10, UNCACHED
1:  cmp rdi, rsi
    jae 4f
    mov rcx, rdi
    shr rcx, 39
    lea r8, [rip + page_map]
    call table_below
    jc 5f
    mov rcx, rdi
    shr rcx, 30
    call table_below
    jc 5f
    mov rcx, rdi
    shr rcx, 21
    and ecx, 511
    mov rax, rdi
    or rax, r10
2:  mov [r8 + rcx * 8], rax
    add rax, LARGE_PAGE_BYTES
    add rdi, LARGE_PAGE_BYTES
    cmp rdi, rsi
    jae 4f
    inc ecx
    cmp ecx, 512
    jb 2b
    jmp 1b
4:  mov rax, cr3                        # what was mapped otherwise must be forgotten
    mov cr3, rax
    mov eax, 1
    ret
5:  xor eax, eax
    ret

# The table that entry rcx of the table at r8 points to, in r8; made if there is none. Carry: no room for one is left.
table_below:
    and ecx, 511
    lea r8, [r8 + rcx * 8]
    mov rax, [r8]
    test al, 1
    jnz 6f
    mov r9d, [rip + spare_tables_used]
    cmp r9d, SPARE_TABLES * 0x1000
    jae 7f
    add dword ptr [rip + spare_tables_used], 0x1000
    lea rax, [rip + spare_tables]
    lea rax, [rax + r9 + TABLE]
    mov [r8], rax
6:  and rax, -0x1000
    mov r8, rax
    clc
    ret
7:  stc
    ret
.popsection

.pushsection .supervisor, "aw", @nobits
.balign 4096
page_map:                .skip 0x1000
page_directory_pointers: .skip 0x1000
page_directory:          .skip 0x1000
page_tables:             .skip PAGE_TABLES * 0x1000
spare_tables:            .skip SPARE_TABLES * 0x1000
spare_tables_used:       .skip 8
.popsection
