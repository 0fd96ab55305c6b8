# What ring 0 does on virtio alone: it shows KVM where its clock goes, and dies on the serial port.

.set LOW_START, 0x1000             # start info, command line, ACPI's root pointer; BIOS
.set LOW_END, 0x100000
.set GATES, {gates}

.set KVM_SIGNATURE, 0x40000000
.set KVM_FEATURES, 0x40000001
.set KVM_FEATURE_CLOCK, 1 << 3     # KVM_FEATURE_CLOCKSOURCE2
.set KVM_WALL_CLOCK, 0x4b564d00
.set KVM_SYSTEM_TIME, 0x4b564d01

.set SERIAL, 0x3f8
.set KEYBOARD_COMMAND, 0x64
.set KEYBOARD_RESET, 0xfe

.pushsection .text.boot, "ax", @progbits

# KVM's clock, where CPUID offers it. Source: Linux Documentation/virt/kvm/x86/cpuid.rst and msr.rst.
set_up_target:
    mov eax, 1
    cpuid
    bt ecx, 31                          # runs under a hypervisor
    jnc 1f
    mov eax, KVM_SIGNATURE
    cpuid
    cmp ebx, 0x4b4d564b                 # "KVMK"
    jne 1f
    cmp ecx, 0x564b4d56                 # "VMKV"
    jne 1f
    cmp edx, 0x4d                       # "M"
    jne 1f
    mov eax, KVM_FEATURES
    cpuid
    test eax, KVM_FEATURE_CLOCK
    jz 1f
    xor edx, edx
    lea rax, [rip + {kvm_wall_clock}]
    mov ecx, KVM_WALL_CLOCK
    wrmsr
    lea rax, [rip + {kvm_clock}]
    or eax, 1
    mov ecx, KVM_SYSTEM_TIME
    wrmsr
1:  ret

# There is no other request than those of machine/trap.s.
request_of_target:
    jmp fault

# A fault in ring 0, or in the report of one: there is nobody left to make another.
die_in_ring_0:
    lea rsi, [rip + {last_words}]
    mov edi, {last_words_length}
1:  mov ecx, 0x10000                    # waits for the transmitter, but not for ever
2:  mov edx, SERIAL + 5
    in al, dx
    test al, 0x20
    jnz 3f
    dec ecx
    jnz 2b
3:  mov edx, SERIAL
    mov al, [rsi]
    out dx, al
    inc rsi
    dec edi
    jnz 1b
    mov edx, KEYBOARD_COMMAND
    mov al, KEYBOARD_RESET
    out dx, al
    jmp reset
.popsection
