/* Structured exceptions, as clang compiles them for x64. */
#include <ntddk.h>

ULONG Unwound;

static __attribute__((noinline)) ULONG Read(volatile ULONG *Address) { return *Address; }

static __attribute__((noinline)) VOID Exhaust(VOID)
{
    __try {
        for (;;)
            ExAllocatePoolWithTag(NonPagedPool | POOL_RAISE_IF_ALLOCATION_FAILURE, 1 << 20, 'siaR');
    } __finally {
        Unwound++;
    }
}

static LONG NTAPI Wanted(ULONG Code)
{
    DbgPrint("exceptions: filter sees %08x\n", Code);
    return Code == STATUS_INSUFFICIENT_RESOURCES ? EXCEPTION_EXECUTE_HANDLER
                                                 : EXCEPTION_CONTINUE_SEARCH;
}

ULONG NTAPI CatchFromImport(VOID)
{
    volatile ULONG kept = 0x1234;
    ULONG status = 0;

    __try {
        Exhaust();
    } __except (Wanted(_exception_code())) {
        status = _exception_code();
    }
    return kept == 0x1234 ? status : 0;
}

ULONG NTAPI CatchAccess(ULONG *Address)
{
    __try {
        return Read(Address);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return _exception_code();
    }
}

static LONG NTAPI Again(PEXCEPTION_POINTERS Pointers)
{
    DbgPrint("exceptions: %08x once more\n", Pointers->ExceptionRecord->ExceptionCode);
    return EXCEPTION_CONTINUE_EXECUTION;
}

/* A test maps the memory while the filter prints. */
ULONG NTAPI ReadAgain(ULONG *Address)
{
    __try {
        return Read(Address);
    } __except (Again(_exception_info())) {
        return 0;
    }
}

static __attribute__((noinline)) ULONG Divide(ULONG By) { return 100 / By; }

ULONG NTAPI CatchDivide(ULONG By)
{
    __try {
        return Divide(By);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        return _exception_code();
    }
}

ULONG NTAPI CatchRaised(ULONG Status)
{
    ULONG result = 0;

    __try {
        __try {
            ExRaiseStatus(Status);
        } __except (Wanted(_exception_code())) {
            result = 1;
        }
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        result = _exception_code();
    }
    return result;
}

LOOKASIDE_LIST_EX List;

static PVOID NTAPI Refuse(POOL_TYPE Type, SIZE_T Size, ULONG Tag, PLOOKASIDE_LIST_EX Of)
{
    ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    return NULL;
}

/* The list's routine in Python calls Refuse, which raises through it. */
ULONG NTAPI CatchThroughList(VOID)
{
    ULONG result = 0;

    ExInitializeLookasideListEx(&List, Refuse, NULL, NonPagedPool, 0, 64, 'fseR', 0);
    __try {
        ExAllocateFromLookasideListEx(&List);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        result = _exception_code();
    }
    ExDeleteLookasideListEx(&List);
    return result;
}

ULONG NTAPI Uncaught(VOID)
{
    return Read((ULONG *)0x2000);                               /* line: uncaught */
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING Path) { return STATUS_SUCCESS; }
