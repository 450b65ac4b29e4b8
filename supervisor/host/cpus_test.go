package host

import (
	"math"
	"testing"
	"testing/fstest"
)

// cgroupFS is a tree with the files that tell a process's limits.
func cgroupFS(files map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, text := range files {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

const (
	mountV2  = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
	mountCPU = "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	mountMem = "32 23 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
)

func TestCgroupLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		files  map[string]string
		cpus   float64 // 0: no limit
		memory int64
	}{
		{name: "no groups", files: nil},
		{name: "v2 without limits", files: map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/cpu.max": "max 100000\n", "sys/fs/cgroup/a/memory.max": "max\n",
		}},
		{name: "v2 in a container", files: map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/cpu.max": "150000 100000\n", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, cpus: 1.5, memory: 1 << 30},
		{name: "v2, the lowest on the way up", files: map[string]string{
			"proc/self/mountinfo": mountV2, "proc/self/cgroup": "0::/a/b/c\n",
			"sys/fs/cgroup/a/cpu.max": "200000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/b/c/cpu.max": "400000 100000\n",
			"sys/fs/cgroup/a/memory.max": "300\n", "sys/fs/cgroup/a/b/memory.max": "200\n", "sys/fs/cgroup/a/b/c/memory.max": "400\n",
		}, cpus: 2, memory: 200},
		{name: "v1", files: map[string]string{
			"proc/self/mountinfo": mountCPU + mountMem, "proc/self/cgroup": "4:memory:/m\n3:cpu,cpuacct:/c\n0::/x\n",
			"sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us": "50000\n", "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "4096\n",
		}, cpus: 0.5, memory: 4096},
		{name: "v1 without limits", files: map[string]string{
			"proc/self/mountinfo": mountCPU + mountMem, "proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}},
		{name: "v1 in a container that sees the path on the host", files: map[string]string{
			"proc/self/mountinfo": "31 23 0:27 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n", "proc/self/cgroup": "3:cpu:/docker/abc\n",
			"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, cpus: 3},
		{name: "hybrid: v2 has no controllers", files: map[string]string{
			"proc/self/mountinfo": mountV2 + mountMem, "proc/self/cgroup": "4:memory:/m\n0::/x\n",
			"sys/fs/cgroup/memory/m/memory.limit_in_bytes": "8192\n",
		}, memory: 8192},
		{name: "garbage", files: map[string]string{
			"proc/self/mountinfo": mountV2 + "\n - \n1 2 - cgroup2\nx", "proc/self/cgroup": "0::/../..\n:::\nx\n",
			"sys/fs/cgroup/cpu.max": "lots of it\n", "sys/fs/cgroup/memory.max": "-5\n",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := cgroupFS(c.files)
			if got, limited := cgroupCPUs(fs); limited != (c.cpus > 0) || limited && got != c.cpus {
				t.Errorf("CPUs: got %v, %v, want %v", got, limited, c.cpus)
			}
			if got, limited := cgroupMemory(fs); limited != (c.memory > 0) || limited && got != c.memory {
				t.Errorf("memory: got %v, %v, want %v", got, limited, c.memory)
			}
		})
	}
}

func TestWorkersFor(t *testing.T) {
	for _, c := range []struct {
		cpus    int
		quota   float64
		limited bool
		want    int
	}{{8, 0, false, 8}, {8, 2, true, 2}, {8, 1.5, true, 2}, {8, 0.1, true, 1}, {2, 6, true, 2}, {0, 0, false, 1}, {4096, 0, false, MaxWorkers}} {
		if got := workersFor(c.cpus, c.quota, c.limited); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
	n := AutoWorkers()
	if n < 1 {
		t.Errorf("AutoWorkers is %d", n)
	}
	if quota, limited := CPUQuota(); limited != (quota > 0) || limited && float64(n) > math.Ceil(quota) {
		t.Errorf("the quota is %v, %t and AutoWorkers %d", quota, limited, n)
	}
}
