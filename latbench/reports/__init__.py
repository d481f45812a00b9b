"""HTML pages and tables from results: what they show are dataclasses that workflows fill."""

from latbench.reports.comparison import (
    Comparison,
    ComparisonRow,
    comparison_section,
    write_comparison,
)
from latbench.reports.drawings import Drawings, write_drawing
from latbench.reports.inside import BlockInside, Inside
from latbench.reports.measurements import (
    MeasurementOverview,
    MeasurementRow,
    measurement_section,
    write_measurements,
)
from latbench.reports.page import Part, Section, write_page
from latbench.reports.predictor_scores import (
    PredictorScores,
    predictor_section,
    write_predictor_scores,
)
from latbench.reports.search_summary import (
    BaselineRow,
    CourseRow,
    HistoryRow,
    NearestNetwork,
    SearchSummary,
    search_section,
    write_search_summary,
)

__all__ = [
    "BaselineRow",
    "BlockInside",
    "Comparison",
    "ComparisonRow",
    "CourseRow",
    "Drawings",
    "HistoryRow",
    "Inside",
    "MeasurementOverview",
    "MeasurementRow",
    "NearestNetwork",
    "Part",
    "PredictorScores",
    "SearchSummary",
    "Section",
    "comparison_section",
    "measurement_section",
    "predictor_section",
    "search_section",
    "write_comparison",
    "write_drawing",
    "write_measurements",
    "write_page",
    "write_predictor_scores",
    "write_search_summary",
]
