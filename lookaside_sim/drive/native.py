"""Machine code of our own: the SLIST routines and the Ex pair, as NT's compiled ones do it.

A call of them costs a few dozen instructions instead of a way into Python. They do what `SLists` and
`ListOnMemory` do, in the same order, and tests hold both against each other. The bytes below are
what an assembler makes of the text beside them, which a test has done again.

On x64 they are leaf functions: nothing is pushed, and r8 keeps rbx. On x86 `SEQUENCE` stands for what
one push adds to the upper half of the header's second word.

Source:
    docs/sources.md, lists sections 2 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

SEQUENCE: Final = 0x7FED_CBA9


@attrs.frozen
class Routine:
    """A routine of machine code.

    Attributes:
        assembly: what it is, in Intel's syntax.
        code: its bytes.
    """

    assembly: str
    code: bytes


def _routine(assembly: str, code: str) -> Routine:
    return Routine(assembly, bytes.fromhex(code))


X64: Final[Mapping[str, Routine]] = {
    "pop": _routine(
        """
    mov r8, rbx
    mov r9, rcx
    mov rax, [r9]
    mov rdx, [r9+8]
1:  mov r10, rdx
    and r10, -16
    jz 2f
    mov rcx, [r10]
    and rcx, -16
    mov r11, rdx
    and r11, 15
    or rcx, r11
    mov rbx, rax
    dec bx
    lock cmpxchg16b [r9]
    jne 1b
2:  mov rax, r10
    mov rbx, r8
    ret
""",
        "4989d84989c9498b01498b51084989d24983e2f0741e498b0a4883e1f04989d34983e30f4c09d948"
        "89c366ffcbf0490fc70975d94c89d04c89c3c3",
    ),
    "push": _routine(
        """
    mov r8, rbx
    mov r9, rcx
    mov r10, rdx
    mov rax, [r9]
    mov rdx, [r9+8]
1:  mov r11, rdx
    and r11, -16
    mov [r10], r11
    mov rbx, rdx
    and rbx, 15
    mov rcx, r10
    and rcx, -16
    or rcx, rbx
    lea rbx, [rax+0x10000]
    inc bx
    lock cmpxchg16b [r9]
    jne 1b
    mov rax, r11
    mov rbx, r8
    ret
""",
        "4989d84989c94989d2498b01498b51084989d34983e3f04d891a4889d34883e30f4c89d14883e1f0"
        "4809d9488d980000010066ffc3f0490fc70975d44c89d84c89c3c3",
    ),
    "flush": _routine(
        """
    mov r8, rbx
    mov r9, rcx
    mov rax, [r9]
    mov rdx, [r9+8]
1:  mov r10, rdx
    and r10, -16
    jz 2f
    mov rcx, rdx
    and rcx, 15
    mov rbx, rax
    xor bx, bx
    lock cmpxchg16b [r9]
    jne 1b
2:  mov rax, r10
    mov rbx, r8
    ret
""",
        "4989d84989c9498b01498b51084989d24983e2f074144889d14883e10f4889c36631dbf0490fc709"
        "75e34c89d04c89c3c3",
    ),
    "depth": _routine(
        """
    movzx eax, word ptr [rcx]
    ret
""",
        "0fb701c3",
    ),
    "allocate": _routine(
        """
    inc dword ptr [rcx+0x14]
    mov r8, rbx
    mov r9, rcx
    mov rax, [r9]
    mov rdx, [r9+8]
1:  mov r10, rdx
    and r10, -16
    jz 2f
    mov rcx, [r10]
    and rcx, -16
    mov r11, rdx
    and r11, 15
    or rcx, r11
    mov rbx, rax
    dec bx
    lock cmpxchg16b [r9]
    jne 1b
2:  mov rax, r10
    mov rbx, r8
    test rax, rax
    jz 3f
    ret
3:  inc dword ptr [r9+0x18]
    mov ecx, [r9+0x24]
    mov edx, [r9+0x2c]
    mov r8d, [r9+0x28]
    jmp [r9+0x30]
""",
        "ff41144989d84989c9498b01498b51084989d24983e2f0741e498b0a4883e1f04989d34983e30f4c"
        "09d94889c366ffcbf0490fc70975d94c89d04c89c34885c07401c341ff4118418b4924418b512c45"
        "8b412841ff6130",
    ),
    "free": _routine(
        """
    inc dword ptr [rcx+0x1c]
    movzx eax, word ptr [rcx]
    cmp ax, [rcx+0x10]
    jae 2f
    mov r8, rbx
    mov r9, rcx
    mov r10, rdx
    mov rax, [r9]
    mov rdx, [r9+8]
1:  mov r11, rdx
    and r11, -16
    mov [r10], r11
    mov rbx, rdx
    and rbx, 15
    mov rcx, r10
    and rcx, -16
    or rcx, rbx
    lea rbx, [rax+0x10000]
    inc bx
    lock cmpxchg16b [r9]
    jne 1b
    mov rax, r11
    mov rbx, r8
    ret
2:  inc dword ptr [rcx+0x20]
    mov rax, rcx
    mov rcx, rdx
    mov rdx, rax
    jmp [rax+0x38]
""",
        "ff411c0fb701663b411073434989d84989c94989d2498b01498b51084989d34983e3f04d891a4889"
        "d34883e30f4c89d14883e1f04809d9488d980000010066ffc3f0490fc70975d44c89d84c89c3c3ff"
        "41204889c84889d14889c2ff6038",
    ),
}

X86: Final[Mapping[str, Routine]] = {
    "pop": _routine(
        """
    push ebx
    push ebp
    mov ebp, ecx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  test eax, eax
    jz 2f
    mov ebx, [eax]
    mov ecx, edx
    dec cx
    lock cmpxchg8b [ebp]
    jne 1b
2:  pop ebp
    pop ebx
    ret
""",
        "535589cd8b55048b450085c0740d8b1889d16649f00fc74d0075ef5d5bc3",
    ),
    "push": _routine(
        """
    push ebx
    push ebp
    mov ebp, ecx
    mov ebx, edx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  mov [ebx], eax
    lea ecx, [edx+0x7fedcba9]
    inc cx
    lock cmpxchg8b [ebp]
    jne 1b
    pop ebp
    pop ebx
    ret
""",
        "535589cd89d38b55048b450089038d8aa9cbed7f6641f00fc74d0075ef5d5bc3",
    ),
    "push_with_lock": _routine(
        """
    push ebx
    push ebp
    mov ebp, ecx
    mov ebx, edx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  mov [ebx], eax
    lea ecx, [edx+0x7fedcba9]
    inc cx
    lock cmpxchg8b [ebp]
    jne 1b
    pop ebp
    pop ebx
    ret 4
""",
        "535589cd89d38b55048b450089038d8aa9cbed7f6641f00fc74d0075ef5d5bc20400",
    ),
    "flush": _routine(
        """
    push ebx
    push ebp
    mov ebp, ecx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  test eax, eax
    jz 2f
    mov ecx, edx
    xor cx, cx
    xor ebx, ebx
    lock cmpxchg8b [ebp]
    jne 1b
2:  pop ebp
    pop ebx
    ret
""",
        "535589cd8b55048b450085c0740e89d16631c931dbf00fc74d0075ee5d5bc3",
    ),
    "allocate": _routine(
        """
    mov ecx, [esp+4]
    inc dword ptr [ecx+0x0c]
    push ebx
    push ebp
    mov ebp, ecx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  test eax, eax
    jz 2f
    mov ebx, [eax]
    mov ecx, edx
    dec cx
    lock cmpxchg8b [ebp]
    jne 1b
2:  pop ebp
    pop ebx
    test eax, eax
    jz 3f
    ret 4
3:  mov ecx, [esp+4]
    inc dword ptr [ecx+0x10]
    push ecx
    push dword ptr [ecx+0x20]
    push dword ptr [ecx+0x24]
    push dword ptr [ecx+0x1c]
    call [ecx+0x28]
    ret 4
""",
        "8b4c2404ff410c535589cd8b55048b450085c0740d8b1889d16649f00fc74d0075ef5d5b85c07403"
        "c204008b4c2404ff411051ff7120ff7124ff711cff5128c20400",
    ),
    "free": _routine(
        """
    mov ecx, [esp+4]
    mov edx, [esp+8]
    inc dword ptr [ecx+0x14]
    mov ax, [ecx+4]
    cmp ax, [ecx+8]
    jae 3f
    push ebx
    push ebp
    mov ebp, ecx
    mov ebx, edx
    mov edx, [ebp+4]
    mov eax, [ebp]
1:  mov [ebx], eax
    lea ecx, [edx+0x7fedcba9]
    inc cx
    lock cmpxchg8b [ebp]
    jne 1b
    pop ebp
    pop ebx
    ret 8
3:  inc dword ptr [ecx+0x18]
    push ecx
    push edx
    call [ecx+0x2c]
    ret 8
""",
        "8b4c24048b542408ff4114668b4104663b41087322535589cd89d38b55048b450089038d8aa9cbed"
        "7f6641f00fc74d0075ef5d5bc20800ff41185152ff512cc20800",
    ),
}
