package keeper

import "golang.org/x/sys/unix"

// RoomFor is how many of most files a keeper of this process's RLIMIT_NOFILE can hold: the master that it starts has each twice
// for a moment.
func RoomFor(most int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return most
	}
	const own = 32
	return int(min(int64(most), (int64(min(uint64(limit.Cur), 1<<30))-own)/2))
}
