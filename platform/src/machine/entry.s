# The 32-bit entries, and the way from there to 64 bits: PVH (Xen's boot protocol, which QEMU, Firecracker, cloud-hypervisor
# and our own disk loaders follow) and multiboot 1 (GRUB, and QEMU's first choice for a file that has its header).
#
# Both: 32-bit protected mode, flat segments, no paging, interrupts masked, memory from 1 MiB on as the file says.
#   PVH        ebx = start info (machine/pvh.rs)
#   multiboot  eax = MULTIBOOT_LOADED, ebx = information (machine/multiboot.rs)
# Both go on to `set_up_target` of the target's boot.s, with r15 = ebx and r14 = 0 for PVH, 1 for multiboot.
#
# Source: Xen docs/misc/pvh.pandoc; Multiboot Specification 0.6.96 §3.

.set MULTIBOOT_MAGIC, 0x1badb002
.set MULTIBOOT_LOADED, 0x2badb002
.set MULTIBOOT_FLAGS, 0x10003      # page-aligned modules, memory information, the address fields below

.set CR0_BOOT, 0x80010033          # paging, write protection in ring 0 too, numeric errors, coprocessor, protected mode
.set CR4_PAE, 1 << 5
.set EFER_LONG_MODE, 1 << 8

.pushsection .note.xen, "a", @note
.long 4, 8, 18                     # XEN_ELFNOTE_PHYS32_ENTRY; 8 bytes, as Linux has it and loaders expect
.asciz "Xen"
.quad pvh_entry
.popsection

.pushsection .text.boot, "ax", @progbits

# In the first 8 KiB of the file, aligned to 4. No loader takes 64-bit ELF by multiboot without the address fields, and with
# them it loads the file as one piece: segments that lie further apart in memory than in the file are moved below. xtask
# fills in what only it knows, the zeroes.
.balign 4
multiboot_header:
.long MULTIBOOT_MAGIC
.long MULTIBOOT_FLAGS
.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
.long multiboot_header
.long __text_start
.long 0                            # end of the file's bytes, once loaded
.long 0                            # end of memory that the image occupies
.long multiboot_entry
multiboot_moves:                   # from, to, bytes
.long 0, 0, 0                      # what is baked in
.long 0, 0, 0                      # data
multiboot_zero:                    # from, to
.long 0, 0

.code32
multiboot_entry:
    cmp eax, MULTIBOOT_LOADED
    jne 4f
    std                                 # upwards, so the last byte first
    mov edx, offset multiboot_moves
1:  mov esi, [edx]
    mov edi, [edx + 4]
    mov ecx, [edx + 8]
    lea esi, [esi + ecx - 4]
    lea edi, [edi + ecx - 4]
    shr ecx, 2
    rep movsd
    add edx, 12
    cmp edx, offset multiboot_zero
    jb 1b
    cld
    mov edi, [edx]
    mov ecx, [edx + 4]
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd
    mov ebp, 1
    jmp 2f
4:  hlt                                 # loaded by nobody we know
    jmp 4b

.globl _start
_start:
pvh_entry:
    xor ebp, ebp

# Temporary tables, in the last of the spare ones: the first 8 MiB, which hold the image (link.ld).
2:  cld
    mov esp, offset supervisor_stack_top
    mov edi, offset spare_tables + (SPARE_TABLES - 3) * 0x1000
    lea eax, [edi + 0x1000 + TABLE]
    mov [edi], eax
    lea eax, [edi + 0x2000 + TABLE]
    mov [edi + 0x1000], eax
    mov dword ptr [edi + 0x2000], 0x83
    mov dword ptr [edi + 0x2008], 0x200083
    mov dword ptr [edi + 0x2010], 0x400083
    mov dword ptr [edi + 0x2018], 0x600083
    mov cr3, edi
    mov eax, cr4
    or eax, CR4_PAE
    mov cr4, eax
    mov ecx, EFER
    rdmsr
    or eax, EFER_LONG_MODE
    wrmsr
    mov eax, CR0_BOOT
    mov cr0, eax
    lgdt [boot_segments_pointer]
    push KERNEL_CODE
    mov eax, offset enter_64_bits
    push eax
    retf

.balign 8
boot_segments:
.quad 0
.quad 0x00af9a000000ffff
.quad 0x00cf92000000ffff
boot_segments_pointer:
.word 23
.long boot_segments

.code64
enter_64_bits:
    mov eax, KERNEL_DATA
    mov ss, eax
    mov ds, eax
    mov es, eax
    lea rsp, [rip + supervisor_stack_top]
    mov r15d, ebx                       # the upper halves are undefined after the switch
    mov r14d, ebp
    call set_up_tables
    movabs rax, USER_R                  # some loaders leave information in the page of the null pointer
    mov [rip + page_tables + {first_pages} / 512], rax
    add rax, 0x1000
    mov [rip + page_tables + {first_pages} / 512 + 8], rax
    xor eax, eax                        # the temporary tables are spare again
    lea rdi, [rip + spare_tables + (SPARE_TABLES - 3) * 0x1000]
    mov [rdi], rax
    mov [rdi + 0x1000], rax
    mov [rdi + 0x2000], rax
    mov [rdi + 0x2008], rax
    mov [rdi + 0x2010], rax
    mov [rdi + 0x2018], rax
    call set_up_target
    jmp enter_ring_3
.popsection
