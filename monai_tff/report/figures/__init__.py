"""The figures of the report: charts as SVG that follow the reader's colours, brain views as pictures."""
