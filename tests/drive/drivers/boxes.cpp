// A driver in C++: a class whose objects live in a lookaside list, through operators of its own.
// wdm.h of mingw-w64 is no C++, so what is used of it stands here; the routines are imported.

using ULONG = unsigned long;
using NTSTATUS = long;
using PVOID = void *;
using SIZE_T = decltype(sizeof(0));

#define NTAPI __stdcall

struct DRIVER_OBJECT {
    short Type, Size;
    PVOID DeviceObject;
    ULONG Flags;
    PVOID DriverStart;
    ULONG DriverSize;
    PVOID DriverSection, DriverExtension;
    struct { unsigned short Length, MaximumLength; wchar_t *Buffer; } DriverName, *HardwareDatabase;
    PVOID FastIoDispatch, DriverInit, DriverStartIo;
    void (NTAPI *DriverUnload)(DRIVER_OBJECT *);
};

struct alignas(16) LOOKASIDE_LIST_EX { char bytes[0x60]; };

extern "C" {
__declspec(dllimport) NTSTATUS NTAPI ExInitializeLookasideListEx(
    LOOKASIDE_LIST_EX *, PVOID, PVOID, int, ULONG, SIZE_T, ULONG, unsigned short);
__declspec(dllimport) void NTAPI ExDeleteLookasideListEx(LOOKASIDE_LIST_EX *);
__declspec(dllimport) PVOID NTAPI ExAllocateFromLookasideListEx(LOOKASIDE_LIST_EX *);
__declspec(dllimport) void NTAPI ExFreeToLookasideListEx(LOOKASIDE_LIST_EX *, PVOID);
}

static LOOKASIDE_LIST_EX Nodes;
ULONG Alive;

class Node {
public:
    explicit Node(Node *next) : next_(next) { Alive++; }
    ~Node() { Alive--; }

    static void *operator new(SIZE_T) noexcept { return ExAllocateFromLookasideListEx(&Nodes); }
    static void operator delete(void *node) { ExFreeToLookasideListEx(&Nodes, node); }

    Node *next() const { return next_; }

private:
    Node *next_;
};

extern "C" ULONG NTAPI Chain(ULONG length)
{
    Node *first = nullptr;
    ULONG most;

    while (length--) {
        Node *made = new Node(first);
        if (!made)
            break;
        first = made;
    }
    most = Alive;
    while (first) {
        Node *next = first->next();
        delete first;
        first = next;
    }
    return most;
}

extern "C" void NTAPI Unload(DRIVER_OBJECT *) { ExDeleteLookasideListEx(&Nodes); }

extern "C" NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, PVOID)
{
    driver->DriverUnload = Unload;
    return ExInitializeLookasideListEx(&Nodes, nullptr, nullptr, 0, 0, sizeof(Node),
                                       'edoN', 0);
}
