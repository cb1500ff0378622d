"""A few rows in the form of California housing."""

HOUSING = """longitude,latitude,total_bedrooms,median_house_value,ocean_proximity
-122.23,37.88,129.0,452600.0,NEAR BAY
-122.22,37.86,,358500.0,INLAND
-122.24,37.85,190.0,352100.0,NEAR BAY
"""
