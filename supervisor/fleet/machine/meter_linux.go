package machine

import "github.com/prometheus/procfs"

func memory() (free, total float64, ok bool) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, 0, false
	}
	m, err := fs.Meminfo()
	if err != nil || m.MemAvailableBytes == nil || m.MemTotalBytes == nil {
		return 0, 0, false
	}
	return float64(*m.MemAvailableBytes), float64(*m.MemTotalBytes), true
}

func cpus() (cpu, bool) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return cpu{}, false
	}
	s, err := fs.Stat()
	if err != nil {
		return cpu{}, false
	}
	t := s.CPUTotal // User and Nice have those of guests
	idle := t.Idle + t.Iowait
	return cpu{idle, idle + t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal}, true
}
