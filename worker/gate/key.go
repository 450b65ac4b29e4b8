package gate

import (
	"hash/crc32"
	"math"
)

// hashOf is the same in every process and version: keys stay where they are. FNV-1a of 64 bits, mixed so that every bit counts.
func hashOf(key string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of MurmurHash3, by Appleby: a bijection in which each bit of the input changes half of the output.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// CRC32 is the number that Pinus and Pomelo compute of a key. signed: the absolute value of the signed CRC-32 of the low bytes of
// its UTF-16 code units, which is what the npm package crc 0.2 returns; else the CRC-32 of its UTF-8, as crc 4.3 returns it. A number
// is its decimal string in both.
func CRC32(key string, signed bool) int64 {
	if !signed {
		crc := ^uint32(0)
		for i := range len(key) {
			crc = crc32.IEEETable[byte(crc)^key[i]] ^ crc>>8
		}
		return int64(^crc)
	}
	crc := ^uint32(0)
	add := func(b byte) { crc = crc32.IEEETable[byte(crc)^b] ^ crc>>8 }
	for _, c := range key {
		if c >= 0x10000 { // two code units
			c -= 0x10000
			add(byte(0xd800 + c>>10))
			c = 0xdc00 + c&0x3ff
		}
		add(byte(c))
	}
	n := int64(int32(^crc))
	return max(n, -n)
}

// crc32Mod takes the member at crc32(key) modulo the number of members, in the order of the table, whatever their state. Where that
// one may not be picked, the next in the list that may is taken, so that the keys of all others stay.
func (s *snapshot) crc32Mod(p *Picker, r *Request) *member {
	n := int64(len(s.mod))
	if n == 0 {
		return nil
	}
	at, bound := CRC32(r.Key, p.options.Signed)%n, s.bound(p)
	for i := range n {
		if m := &s.all[s.mod[(at+i)%n]]; s.may(m, r) && !bound.reached(m) {
			return m
		}
	}
	return nil
}

// modOf lists the members of all that have a weight: each once where all have the same, as the documents have it, and else as often
// as its weight says.
func modOf(all []member) (list []int32) {
	lightest, heaviest := math.Inf(1), 0.0
	for i := range all {
		if w := all[i].Weight; w > 0 {
			lightest, heaviest = min(lightest, w), max(heaviest, w)
		}
	}
	scale := lightest
	if heaviest/lightest > 100 {
		scale = heaviest / 100
	}
	for i := range all {
		if w := all[i].Weight; w > 0 {
			for range max(int(math.Round(w/scale)), 1) {
				list = append(list, int32(i))
			}
		}
	}
	return list
}

// rendezvous takes the member whose hash with the key is the highest, each with chances as its weight says.
func (s *snapshot) rendezvous(p *Picker, r *Request, key uint64) (found *member) {
	bound := s.bound(p)
	if s.equal {
		top := uint64(0)
		for _, m := range s.usable {
			if h := mix(key ^ m.hash); (found == nil || h > top) && s.may(m, r) && !bound.reached(m) {
				found, top = m, h
			}
		}
		return found
	}
	top := 0.0
	for _, m := range s.usable {
		// Of -w/ln(u), u uniform in (0,1), the highest is at a member with a chance of its share of the weights.
		u := (float64(mix(key^m.hash)>>11) + 0.5) / (1 << 53)
		if h := -m.Weight / math.Log(u); (found == nil || h > top) && s.may(m, r) && !bound.reached(m) {
			found, top = m, h
		}
	}
	return found
}

// limit is how many requests in flight a member may have for ways by key with a bound.
type limit struct{ each float64 } // for a weight of 1; 0: there is no bound

func (s *snapshot) bound(p *Picker) limit {
	if p.options.Bounded == 0 || s.weight == 0 {
		return limit{}
	}
	sum := 1.0
	for _, m := range s.usable {
		sum += m.load()
	}
	return limit{p.options.Bounded * sum / s.weight}
}

// reached reports whether one more request would be beyond the bound.
func (l limit) reached(m *member) bool { return l.each > 0 && m.load()+1 > math.Ceil(l.each*m.Weight) }

// lookups is the size of maglev's table: a prime, so that each member's steps reach every entry.
const lookups = 65537

// maglev looks the key up in a table that all members have filled by turns. Where the member may not be picked the key is looked up
// anew with another hash, a few times, and then goes where rendezvous has it: the keys of all others stay.
func (s *snapshot) maglev(p *Picker, r *Request) *member {
	if len(s.lookup) == 0 {
		return nil
	}
	key := hashOf(r.Key)
	bound := s.bound(p)
	for i := range uint64(8) {
		if m := &s.all[s.lookup[mix(key+i*0x9e3779b97f4a7c15)%lookups]]; s.may(m, r) && !bound.reached(m) {
			return m
		}
	}
	return s.rendezvous(p, r, key)
}

// lookupOf fills maglev's table. The members take turns, as often as their weights say; at each, a member takes its next entry, in
// an order of its own, that is free.
func lookupOf(all []member) []int32 {
	heaviest := 0.0
	for i := range all {
		heaviest = max(heaviest, all[i].Weight)
	}
	if heaviest == 0 {
		return nil
	}
	table := make([]int32, lookups)
	for i := range table {
		table[i] = -1
	}
	type walk struct{ at, step uint64 }
	walks, credit := make([]walk, len(all)), make([]float64, len(all))
	for i := range all {
		walks[i] = walk{all[i].hash % lookups, mix(all[i].hash+1)%(lookups-1) + 1}
	}
	for filled := 0; ; {
		for i := range all {
			if credit[i] += all[i].Weight / heaviest; credit[i] < 1 || all[i].Weight == 0 {
				continue
			}
			credit[i]--
			w := &walks[i]
			for table[w.at] >= 0 {
				w.at = (w.at + w.step) % lookups
			}
			table[w.at] = int32(i)
			if filled++; filled == lookups {
				return table
			}
		}
	}
}
