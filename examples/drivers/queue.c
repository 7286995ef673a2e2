/* A driver that serves requests from a queue. One line of it looks at a request that is gone. */
#include <ntddk.h>

typedef struct _REQUEST {
    LIST_ENTRY Link;
    ULONG Number;
    NTSTATUS Status;
} REQUEST, *PREQUEST;

LOOKASIDE_LIST_EX Requests;
LIST_ENTRY Pending;

static BOOLEAN Submit(ULONG Number)
{
    PREQUEST request = ExAllocateFromLookasideListEx(&Requests);

    if (!request)
        return FALSE;
    request->Number = Number;
    request->Status = STATUS_PENDING;
    InsertTailList(&Pending, &request->Link);
    return TRUE;
}

static __attribute__((noinline)) VOID Complete(PREQUEST Request)
{
    Request->Status = STATUS_SUCCESS;
    ExFreeToLookasideListEx(&Requests, Request);
}

static __attribute__((noinline)) VOID Serve(VOID)
{
    while (!IsListEmpty(&Pending)) {
        PREQUEST request = CONTAINING_RECORD(RemoveHeadList(&Pending), REQUEST, Link);

        Complete(request);
        DbgPrint("queue: request %u ended with %08x\n", request->Number, request->Status);
    }
}

VOID NTAPI QueueUnload(PDRIVER_OBJECT Driver)
{
    ExDeleteLookasideListEx(&Requests);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT Driver, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;
    ULONG number;

    Driver->DriverUnload = QueueUnload;
    InitializeListHead(&Pending);
    status = ExInitializeLookasideListEx(&Requests, NULL, NULL, NonPagedPoolNx, 0,
                                         sizeof(REQUEST), 'tsqR', 0);
    if (!NT_SUCCESS(status))
        return status;
    for (number = 1; number <= 3; number++)
        Submit(number);
    Serve();
    return STATUS_SUCCESS;
}
