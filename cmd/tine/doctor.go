package main

import (
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/tinehq/tine/cmd/tine/internal/term"
	"github.com/tinehq/tine/supervisor"
	"github.com/tinehq/tine/supervisor/control"
	"github.com/tinehq/tine/supervisor/host"
	"github.com/tinehq/tine/supervisor/keeper"
	"github.com/tinehq/tine/supervisor/listen"
	"golang.org/x/sys/unix"
)

// diagnosis is what this machine can do for Tine, for the user of this process.
type diagnosis struct {
	Tine        string  `json:"tine"`
	Go          string  `json:"go"`
	System      string  `json:"system"` // such as linux/amd64
	Kernel      string  `json:"kernel"`
	UID         int     `json:"uid"`
	CPUs        int     `json:"cpus"`                   // that this process may run on
	CPUQuota    float64 `json:"cpu_quota,omitempty"`    // CPUs' worth of time; absent: no quota
	Workers     int     `json:"workers"`                // of an app whose config has no number
	MemoryLimit int64   `json:"memory_limit,omitempty"` // bytes; absent: no limit

	Descriptors host.Descriptors `json:"descriptors"` // how a master divides them

	Masters      string              `json:"masters,omitempty"` // where the masters of this user are looked for
	Steering     string              `json:"steering"`          // the kind for steering: auto
	Capabilities []listen.Capability `json:"capabilities"`
	Gateway      []listen.Capability `json:"gateway"` // what a gateway can have here
}

func newDoctor() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor [--json]",
		Short: "Say what this machine can do for Tine, and what it would need for more",
		Long: `Say what this machine can do for Tine, and what it would need for more: each kind
of steering and what it rests on, the CPUs, the memory, the file descriptors, and what a gateway lacks.
What a kernel lets a process do depends on its user and capabilities: run tine doctor as the user that tine runs as.

The exit status is 0 whatever it finds.`,
		Example: `  tine doctor
  tine doctor --json | jq .steering`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := diagnose(listen.Probe())
			return answer(cmd, asJSON, d, d.print)
		},
	}
	cmd.DisableFlagsInUseLine = true
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func diagnose(can []listen.Capability) diagnosis {
	d := diagnosis{
		Tine: versionText(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: kernel(), UID: os.Getuid(), CPUs: runtime.NumCPU(), Workers: host.AutoWorkers(),
		Steering: best(can), Capabilities: can,
	}
	d.Masters = control.Where()
	d.CPUQuota, _ = host.CPUQuota()
	d.MemoryLimit, _ = host.MemoryLimit()
	d.Descriptors = host.ShareDescriptors(keeper.RoomFor(keeper.DefaultMaxFiles))
	d.Gateway = gatewayCan(d.Descriptors)
	return d
}

// best returns the best kind of steering that this machine has.
func best(can []listen.Capability) string {
	for _, kind := range []string{supervisor.SteeringEBPF, supervisor.SteeringCBPF, supervisor.SteeringHash} {
		for _, c := range can {
			if c.Name == kind && c.OK {
				return kind
			}
		}
	}
	return "shared"
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

func (d diagnosis) print(w term.Screen) {
	quota, memory := "no quota", "no limit"
	if d.CPUQuota > 0 {
		quota = fmt.Sprintf("a quota of %g", d.CPUQuota)
	}
	if d.MemoryLimit > 0 {
		memory = fmt.Sprintf("limit of %d MiB", d.MemoryLimit>>20)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "tine\t%s, %s\n", d.Tine, d.Go)
	fmt.Fprintf(table, "system\t%s, kernel %s, user %d\n", d.System, d.Kernel, d.UID)
	fmt.Fprintf(table, "CPUs\t%d, %s: %s for an app\n", d.CPUs, quota, term.Count(d.Workers, "worker"))
	fmt.Fprintf(table, "memory\t%s\n", memory)
	fmt.Fprintf(table, "descriptors\t%d: %d for large cached values, %d for the control socket, %d for each of health, metrics and dashboard; %d for workers and their sockets\n",
		d.Descriptors.Limit, d.Descriptors.Values, d.Descriptors.Control, d.Descriptors.Askers, d.Descriptors.Workers)
	if d.Masters != "" {
		fmt.Fprintf(table, "masters\t%s\n", d.Masters)
	}
	fmt.Fprintf(table, "steering\t%s\n", meaning(d.Steering))
	capabilities(table, "", d.Capabilities)
	capabilities(table, "gateways\n", d.Gateway)
	_ = table.Flush() // the screen remembers what fails
}

// capabilities prints one a line, below a head.
func capabilities(table *tabwriter.Writer, head string, all []listen.Capability) {
	if len(all) > 0 {
		fmt.Fprintf(table, "\n%s", head)
	}
	for _, c := range all {
		word, text := "ok", c.Detail
		if !c.OK {
			word = "no"
		}
		if c.Needs != "" {
			text += "; needs " + c.Needs
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", word, c.Name, text)
	}
}

func meaning(steering string) string {
	switch steering {
	case supervisor.SteeringEBPF:
		return "ebpf: the kernel counts, and picks a worker for each connection by the policy"
	case supervisor.SteeringCBPF:
		return "cbpf: the kernel picks at random among the workers with room, which the master measures"
	case supervisor.SteeringHash:
		return "hash: the kernel picks blindly"
	}
	return steering + ": one socket for all workers; the first worker that accepts gets the connection"
}
