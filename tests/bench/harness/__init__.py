"""What every benchmark needs: servers, load, rounds and a report."""
