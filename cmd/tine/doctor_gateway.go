package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tinehq/tine/ipc/tickets"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/fleet/processes"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/listen"
)

const (
	// gatewayFiles are what a worker of a gateway has open beside connections, about.
	gatewayFiles = 64
	// fewClients is how many clients at a time are few for a worker of a gateway.
	fewClients = 4096
	// fewPorts is how many connections to one member at a time are few.
	fewPorts = 8192
)

// gatewayCan says what a gateway can have here, by doing each thing once. It leaves nothing behind but the folder for
// control sockets, which a master makes too.
func gatewayCan(d host.Descriptors) []listen.Capability {
	return []listen.Capability{innerSockets(), ticketBook(), diagnosedProcesses(), clientRoom(d.Limit), memberPorts(), splicing()}
}

// innerSockets are those by which a gateway picks a worker for each request.
func innerSockets() listen.Capability {
	c := listen.Capability{Name: "inner sockets", Needs: "a folder that this user can write, with a short path: set TMPDIR or XDG_RUNTIME_DIR; else a gateway picks an app, and the kernel a worker"}
	name := fmt.Sprintf("doctor-%08x", rand.Uint32()) // others may ask at the same time
	prefix, why, err := control.InnerFolder(name, name, listen.FitsInner)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer os.Remove(filepath.Dir(prefix))
	l, err := net.Listen("unix", listen.InnerPath(prefix, 0))
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer l.Close() // and removes the file
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	conn.Close()
	c.OK, c.Needs, c.Detail = true, "", "a gateway can pick one worker for each request, below "+filepath.Dir(filepath.Dir(prefix))
	if why != "" {
		c.Detail += " (the names are shortened, as the path is long)"
	}
	return c
}

// ticketBook is the shared memory that says whether a request has begun.
func ticketBook() listen.Capability {
	c := listen.Capability{Name: "tickets", Needs: "memory files (memfd_create), or a folder for temporary ones; else a request whose worker dies is sent again only if it may be begun twice"}
	book, err := tickets.Create()
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer book.Close()
	return listen.Capability{Name: c.Name, OK: true, Detail: "gateways share what each worker of this host has, and know which requests have begun"}
}

// diagnosedProcesses is the source of members that are processes of other programs.
func diagnosedProcesses() listen.Capability {
	if err := processes.Probe(); err != nil {
		return listen.Capability{
			Name: "other processes", Detail: err.Error(),
			Needs: "Linux, the network namespace of those processes and, for those of other users, root or CAP_SYS_PTRACE; else users of apps that are not Tine's are not counted",
		}
	}
	return listen.Capability{Name: "other processes", OK: true, Detail: "users, CPU and memory of apps that are not Tine's can be counted"}
}

// clientRoom is how many clients a worker of a gateway can have. Each takes a descriptor, and one more for the member that has its request.
func clientRoom(limit int) listen.Capability {
	clients := max(limit-gatewayFiles, 0) / 2
	c := listen.Capability{Name: "connections", OK: clients >= fewClients, Detail: fmt.Sprintf("a gateway's worker has room for %d clients at a time, with a request each (%d descriptors)", clients, limit)}
	if !c.OK {
		c.Needs = "a higher limit: ulimit -n, or LimitNOFILE= of systemd"
	}
	return c
}

// memberPorts is how many connections there can be to one address of a member.
func memberPorts() listen.Capability {
	c := listen.Capability{Name: "member ports", OK: true, Detail: "the system does not say how many connections one member can have"}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	var from, to int
	if err != nil {
		return c
	}
	if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &from, &to); err != nil || to < from {
		return c
	}
	ports := to - from + 1
	c.OK, c.Detail = ports >= fewPorts, fmt.Sprintf("all gateways of this host together can have %d connections to one address of a member; Unix sockets have no such bound", ports)
	if !c.OK {
		c.Needs = "a wider range: sysctl net.ipv4.ip_local_port_range"
	}
	return c
}

// splicing is how bytes pass that a gateway need not see.
func splicing() listen.Capability {
	c := listen.Capability{Name: "splice", OK: runtime.GOOS == "linux", Detail: "long streams of TCP pass inside the kernel; HTTP/2 and TLS are copied, as they are ended here"}
	if !c.OK {
		c.Detail, c.Needs = "all bytes are copied by the gateway", "Linux"
	}
	return c
}
