-- For wrk: the numbers of a run in one line, whole.
done = function(summary)
	local e = summary.errors
	io.write(string.format("REPORT %d %d %d\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout, summary.bytes))
end
